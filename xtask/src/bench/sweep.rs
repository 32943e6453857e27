//! How cost grows: the same load again and again, with one thing different each time.

use std::{fmt, path::Path, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{
    driver::{drain, fill, hammer},
    load::load,
    subject::{Mode, Plan, Subject},
};
use crate::Result;

/// The queue in which jobs wait: nobody serves it.
pub(super) const WAITING: &str = "waiting";

/// How many clients there are where that is not what differs.
const CONNECTIONS: usize = 64;

/// How long jobs with a large payload are submitted.
const SUBMITTING: Duration = Duration::from_secs(4);

/// What is different from point to point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Axis {
    /// The bytes of a payload.
    Payload,
    /// How many clients there are.
    Connections,
    /// How many worker processes there are.
    Workers,
    /// How many jobs wait in another queue.
    Backlog,
}

impl Axis {
    const fn points(self, mode: Mode) -> &'static [usize] {
        match (self, mode) {
            (Self::Payload, _) => &[102, 1_024, 10_240, 102_400],
            (Self::Connections, _) => &[1, 4, 16, 64, 256, 1_000],
            // One process does everything.
            (Self::Workers, Mode::Embedded) => &[1],
            (Self::Workers, Mode::Distributed) => &[1, 2, 4],
            (Self::Backlog, _) => &[0, 10_000, 100_000, 1_000_000],
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Payload => "payload, bytes",
            Self::Connections => "connections",
            Self::Workers => "worker processes",
            Self::Backlog => "jobs waiting",
        })
    }
}

/// What was measured along one axis.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) mode: String,
    pub(crate) axis: Axis,
    pub(crate) points: Vec<Point>,
}

/// What was measured at one point.
#[derive(Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) at: usize,
    pub(crate) jobs_per_s: f64,
    pub(crate) processor_us: f64,
    pub(crate) post_p50_ms: f64,
    pub(crate) post_p99_ms: f64,
}

/// Measures along an axis, on a database of its own for each point.
pub(crate) fn measure(mode: Mode, axis: Axis, binary: &Path) -> Result<Sweep> {
    let points = axis.points(mode).iter();
    Ok(Sweep {
        mode: mode.to_string(),
        axis,
        points: points
            .map(|at| point(mode, axis, *at, binary))
            .collect::<Result<_>>()?,
    })
}

fn point(mode: Mode, axis: Axis, at: usize, binary: &Path) -> Result<Point> {
    let mut plan = Plan::of(mode);
    match axis {
        Axis::Payload | Axis::Connections => {}
        Axis::Workers => plan.workers = at,
        Axis::Backlog => plan.settings = beside_waiting_jobs(),
    }
    let subject = Subject::start(&plan, binary)?;
    if axis == Axis::Backlog {
        fill(subject.address()?, WAITING, at)?;
    }
    let before = subject.processor_time()?;
    let measured = match axis {
        Axis::Payload => submitted(&subject, at)?,
        Axis::Connections => followed(&subject, binary, at)?,
        Axis::Workers | Axis::Backlog => followed(&subject, binary, CONNECTIONS)?,
    };
    let used = subject.processor_time()?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
    let jobs = measured.jobs.max(1) as f64;
    Ok(Point {
        at,
        jobs_per_s: measured.per_s,
        processor_us: used.as_secs_f64() * 1_000_000.0 / jobs,
        post_p50_ms: measured.post_p50_ms,
        post_p99_ms: measured.post_p99_ms,
    })
}

/// The settings under which jobs can wait beside others.
pub(super) fn beside_waiting_jobs() -> Vec<(&'static str, String)> {
    vec![
        ("COATCHECK_WORKER__QUEUES", "[\"default\"]".to_owned()),
        ("COATCHECK_LIMITS__QUEUE_DEPTH", "2000000".to_owned()),
    ]
}

struct Measured {
    jobs: u64,
    per_s: f64,
    post_p50_ms: f64,
    post_p99_ms: f64,
}

/// Jobs that are submitted, run and followed to their ends.
fn followed(subject: &Subject, binary: &Path, connections: usize) -> Result<Measured> {
    let connections = format!("--connections={connections}");
    let report = load(
        binary,
        &subject.url()?,
        &["--wait=long-poll", "--duration=4s", &connections],
    )?
    .flawless()?;
    let post = report.latency_ms.post.ok_or("nothing was accepted")?;
    Ok(Measured {
        jobs: report.accepted,
        per_s: report.accepted_per_s,
        post_p50_ms: post.p50,
        post_p99_ms: post.p99,
    })
}

/// Jobs with payloads of so many bytes, submitted and run. A payload is kept byte for byte, so
/// spaces in it are as good as anything.
fn submitted(subject: &Subject, bytes: usize) -> Result<Measured> {
    let address = subject.address()?;
    let spaces = " ".repeat(bytes.saturating_sub(r#"{"ms":0}"#.len()));
    let body = format!(r#"{{"kind":"sleep","payload":{{"ms":0{spaces}}}}}"#);
    let answered = hammer(address, ["POST", "/v1/jobs", &body], 202, SUBMITTING)?;
    drain(address)?;
    Ok(Measured {
        jobs: answered.latencies.len() as u64,
        per_s: answered.per_second(),
        post_p50_ms: answered.quantile_ms(50),
        post_p99_ms: answered.quantile_ms(99),
    })
}

impl fmt::Display for Sweep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({}):\n{:>12}{:>12}{:>12}{:>12}{:>12}",
            self.axis, self.mode, "", "jobs/s", "µs/job", "POST p50", "POST p99"
        )?;
        for point in &self.points {
            write!(
                formatter,
                "\n{:>12}{:>12.0}{:>12.0}{:>12.2}{:>12.2}",
                point.at,
                point.jobs_per_s,
                point.processor_us,
                point.post_p50_ms,
                point.post_p99_ms
            )?;
        }
        Ok(())
    }
}
