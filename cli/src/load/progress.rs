//! What is shown while a load test runs.

use std::{
    convert::Infallible,
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    job::Jobs,
    measurements::Measurements,
    plan::Pace,
    report::{grouped, per_second, rounded},
};

const REDRAW_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);
const RATES_EVERY: Duration = Duration::from_secs(1);

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
    let planned = match &jobs.plan().pace {
        Pace::Open { rate } => Some(limit.jobs_at(rate)),
        Pace::Closed { .. } => limit.jobs,
    };
    let time_ms = limit.duration.map(milliseconds);
    let bar = ProgressBar::with_draw_target(planned.or(time_ms), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {bar:12.cyan} {msg}") {
        bar.set_style(style);
    }
    let cleared = ClearOnDrop(bar);
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    let mut line = Line::new(start);
    loop {
        redraw.tick().await;
        let position = match planned {
            Some(_) => submitted(&jobs.measurements()),
            None => milliseconds(start.elapsed()).min(time_ms.unwrap_or(u64::MAX)),
        };
        cleared.0.set_position(position);
        cleared.0.set_message(line.of(&jobs.measurements()));
    }
}

async fn write_lines(jobs: &Jobs, start: Instant) -> Infallible {
    let mut next = tokio::time::interval(LINE_EVERY);
    next.tick().await;
    let mut line = Line::new(start);
    loop {
        next.tick().await;
        let seconds = start.elapsed().as_secs();
        let text = line.of(&jobs.measurements());
        // Nobody reading it is no reason to end the test.
        drop(writeln!(std::io::stderr(), "{seconds:>4} s: {text}"));
    }
}

fn submitted(measurements: &Measurements) -> u64 {
    measurements.parts.iter().map(|part| part.submitted).sum()
}

/// What is said now and then, with the rates since it was said a second ago or more.
struct Line {
    since: Instant,
    accepted: u64,
    finished: u64,
    accepted_per_s: f64,
    finished_per_s: f64,
}

impl Line {
    const fn new(start: Instant) -> Self {
        Self {
            since: start,
            accepted: 0,
            finished: 0,
            accepted_per_s: 0.0,
            finished_per_s: 0.0,
        }
    }

    fn of(&mut self, measurements: &Measurements) -> String {
        let (mut accepted, mut finished) = (0, 0);
        for part in &measurements.parts {
            accepted += part.accepted;
            finished += part.finished();
        }
        let elapsed = self.since.elapsed();
        if elapsed >= RATES_EVERY {
            let elapsed_s = Some(elapsed.as_secs_f64());
            self.accepted_per_s = per_second(accepted - self.accepted, elapsed_s);
            self.finished_per_s = per_second(finished - self.finished, elapsed_s);
            self.since = Instant::now();
            (self.accepted, self.finished) = (accepted, finished);
        }
        format!(
            "{} accepted ({}/s), {} finished ({}/s), {} errors",
            grouped(accepted),
            rounded(self.accepted_per_s),
            grouped(finished),
            rounded(self.finished_per_s),
            grouped(measurements.error_count()),
        )
    }
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
