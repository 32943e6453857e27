//! What a load test found, for people and for programs.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    measurements::Measurements,
    plan::{Follow, Pace, Plan},
    run::Ending,
};

/// What a load test found. As JSON, times are in the unit of their name.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    kind: String,
    pace: &'static str,
    rate: Option<f64>,
    connections: u32,
    elapsed_s: f64,
    interrupted: bool,
    requests: u64,
    submitted: u64,
    accepted: u64,
    accepted_per_s: f64,
    finished: u64,
    finished_per_s: f64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    /// Accepted and followed, and not seen to finish.
    unfinished: u64,
    /// From the start until no job was left.
    drained_s: Option<f64>,
    drained_per_s: Option<f64>,
    errors: BTreeMap<String, ReportedError>,
    late: Option<Late>,
    latency_ms: Latencies,
}

#[derive(Debug, Serialize)]
struct ReportedError {
    count: u64,
    example: Option<String>,
}

/// Of an open loop: the jobs that were submitted after their moment.
#[derive(Debug, Serialize)]
struct Late {
    jobs: u64,
    /// Those of them that waited for a connection.
    without_connection: u64,
    longest_ms: f64,
}

#[derive(Debug, Serialize)]
struct Latencies {
    post: Option<Quantiles>,
    post_to_result: Option<Quantiles>,
    wake_up: Option<Quantiles>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Quantiles {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Report {
    /// What was found.
    pub(crate) fn new(plan: &Plan, measured: &Measurements, ending: Ending, end: Instant) -> Self {
        let since_start = |moment: Option<Instant>| {
            moment.map(|moment| {
                moment
                    .saturating_duration_since(measured.start)
                    .as_secs_f64()
            })
        };
        let followed = !matches!(plan.follow, Follow::Not { .. });
        let (pace, rate) = match plan.pace {
            Pace::Closed => ("closed", None),
            Pace::Open { rate } => ("open", Some(rate)),
        };
        let finished = measured.finished_jobs();
        let drained_s = since_start(measured.drained);
        Self {
            kind: plan.kind.clone(),
            pace,
            rate,
            connections: plan.connections,
            elapsed_s: since_start(Some(end)).unwrap_or_default(),
            interrupted: ending == Ending::Interrupted,
            requests: measured.requests,
            submitted: measured.submitted,
            accepted: measured.accepted,
            accepted_per_s: per_second(measured.accepted, since_start(measured.last_answer)),
            finished,
            finished_per_s: per_second(finished, since_start(measured.last_finish)),
            succeeded: measured.succeeded,
            failed: measured.failed,
            cancelled: measured.cancelled,
            unfinished: if followed {
                measured.accepted - finished
            } else {
                0
            },
            drained_s,
            drained_per_s: drained_s.map(|time| per_second(measured.accepted, Some(time))),
            errors: reported(measured),
            late: rate.map(|_| Late {
                jobs: measured.late,
                without_connection: measured.without_connection,
                longest_ms: milliseconds(measured.latest),
            }),
            latency_ms: Latencies {
                post: quantiles(measured.submit_latency()),
                post_to_result: quantiles(measured.result_latency()),
                wake_up: quantiles(measured.wake_up_latency()),
            },
        }
        .with_impatience(ending, plan.settle)
    }

    /// Jobs that outlasted the patience are an error.
    fn with_impatience(mut self, ending: Ending, settle: Duration) -> Self {
        if ending == Ending::Impatient {
            let name = format!(
                "still under way after {}",
                humantime::format_duration(settle)
            );
            self.errors.insert(
                name,
                ReportedError {
                    count: self.unfinished.max(1),
                    example: None,
                },
            );
        }
        self
    }

    /// Whether everything that was tried went well.
    pub(crate) fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.failed == 0 && self.cancelled == 0
    }
}

fn reported(measured: &Measurements) -> BTreeMap<String, ReportedError> {
    let errors = measured.errors.iter().map(|(name, error)| {
        let reported = ReportedError {
            count: error.count,
            example: error.example.clone(),
        };
        (name.clone(), reported)
    });
    errors.collect()
}

fn per_second(count: u64, time_s: Option<f64>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
    let count = count as f64;
    time_s
        .filter(|time| *time > 0.0)
        .map_or(0.0, |time| count / time)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn quantiles(histogram: &Histogram<u64>) -> Option<Quantiles> {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
    let value = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    (!histogram.is_empty()).then(|| Quantiles {
        count: histogram.len(),
        mean: histogram.mean() / 1_000.0,
        p50: value(0.5),
        p90: value(0.9),
        p99: value(0.99),
        p999: value(0.999),
        max: value(1.0),
    })
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, to the nearest whole where it is large.
fn rounded(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor near 2^64"
    )]
    grouped(rate.round() as u64)
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = self.rate.map_or("closed loop".to_owned(), |rate| {
            format!("open loop at {rate}/s")
        });
        writeln!(
            out,
            "{} jobs, {pace}, {} connections, {:.1} s{}\n",
            self.kind,
            self.connections,
            self.elapsed_s,
            if self.interrupted {
                ", interrupted"
            } else {
                ""
            },
        )?;
        self.write_counts(out)?;
        self.write_latencies(out)?;
        self.write_late(out)?;
        self.write_errors(out)
    }
}

impl Report {
    fn write_counts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, count: u64, rate: Option<f64>| {
            let rate = rate.map_or(String::new(), |rate| format!("{:>12}/s", rounded(rate)));
            writeln!(out, "  {name:<16}{:>12}{rate}", grouped(count))
        };
        row("requests", self.requests, None)?;
        row("accepted", self.accepted, Some(self.accepted_per_s))?;
        if self.finished > 0 || self.unfinished > 0 {
            row("finished", self.finished, Some(self.finished_per_s))?;
        }
        for (name, count) in [
            ("failed", self.failed),
            ("cancelled", self.cancelled),
            ("unfinished", self.unfinished),
        ] {
            if count > 0 {
                row(name, count, None)?;
            }
        }
        row(
            "errors",
            self.errors.values().map(|error| error.count).sum(),
            None,
        )?;
        if let (Some(time), Some(rate)) = (self.drained_s, self.drained_per_s) {
            row("drained", self.accepted, Some(rate))?;
            writeln!(out, "  {:<16}{time:>10.2} s", "until drained")?;
        }
        Ok(())
    }

    fn write_latencies(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("POST", self.latency_ms.post),
            ("POST to result", self.latency_ms.post_to_result),
            ("wake-up", self.latency_ms.wake_up),
        ];
        if rows.iter().all(|(_, quantiles)| quantiles.is_none()) {
            return Ok(());
        }
        writeln!(
            out,
            "\n  {:<16}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "latency, ms", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (name, quantiles) in rows {
            let Some(q) = quantiles else { continue };
            writeln!(
                out,
                "  {name:<16}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>12.2}",
                q.p50, q.p90, q.p99, q.p999, q.max
            )?;
        }
        Ok(())
    }

    fn write_late(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(late) = self.late.as_ref().filter(|late| late.jobs > 0) else {
            return Ok(());
        };
        writeln!(
            out,
            "\nThe schedule could not be kept: {} jobs were submitted late, up to {:.1} ms, {} of \
             them for\nwant of a free connection. That wait is part of the latencies.",
            grouped(late.jobs),
            late.longest_ms,
            grouped(late.without_connection),
        )?;
        if late.without_connection > 0 {
            writeln!(
                out,
                "There were {} connections (--connections); a long-poll holds one until its job \
                 is finished.",
                self.connections,
            )?;
        }
        Ok(())
    }

    fn write_errors(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.errors.is_empty() {
            writeln!(out, "\nErrors:")?;
        }
        for (name, error) in &self.errors {
            let example = error.example.as_deref();
            let example = example.map_or(String::new(), |text| format!(": {text}"));
            writeln!(out, "  {:>8} × {name}{example}", grouped(error.count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
