//! What is shown while a load test runs.

use std::{
    convert::Infallible,
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{job::Jobs, plan::Pace, report::grouped};

const REDRAW_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far the test is, on stderr, until it is dropped: a bar on a terminal, else a line
/// now and then.
pub(crate) async fn show(jobs: &Jobs, start: Instant) -> Infallible {
    if std::io::stderr().is_terminal() {
        draw(jobs, start).await
    } else {
        write_lines(jobs, start).await
    }
}

async fn draw(jobs: &Jobs, start: Instant) -> Infallible {
    let limit = jobs.plan().limit;
    let planned = match (jobs.plan().pace, limit.jobs) {
        (Pace::Open { rate }, _) => Some(limit.jobs_at(rate)),
        (Pace::Closed, jobs) => jobs,
    };
    let time_ms = limit.duration.map(milliseconds);
    let bar = ProgressBar::with_draw_target(planned.or(time_ms), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {bar:30.cyan} {msg}") {
        bar.set_style(style);
    }
    let cleared = ClearOnDrop(bar);
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    loop {
        redraw.tick().await;
        let position = match planned {
            Some(_) => jobs.measurements().submitted,
            None => milliseconds(start.elapsed()).min(time_ms.unwrap_or(u64::MAX)),
        };
        cleared.0.set_position(position);
        cleared.0.set_message(line(jobs));
    }
}

async fn write_lines(jobs: &Jobs, start: Instant) -> Infallible {
    let mut next = tokio::time::interval(LINE_EVERY);
    next.tick().await;
    loop {
        next.tick().await;
        let seconds = start.elapsed().as_secs();
        // Nobody reading it is no reason to end the test.
        drop(writeln!(
            std::io::stderr(),
            "{seconds:>4} s: {}",
            line(jobs)
        ));
    }
}

fn line(jobs: &Jobs) -> String {
    let measurements = jobs.measurements();
    format!(
        "{} accepted, {} finished, {} errors",
        grouped(measurements.accepted),
        grouped(measurements.finished_jobs()),
        grouped(measurements.error_count()),
    )
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct ClearOnDrop(ProgressBar);

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
