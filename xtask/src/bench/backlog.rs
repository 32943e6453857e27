//! What jobs that wait cost the others: a submission, a claim, the first page of the list.

use std::path::Path;

use super::{
    driver::{fill, median_get},
    load::load,
    measure::{Row, row},
    subject::{Mode, Plan, Subject},
    sweep::{WAITING, beside_waiting_jobs},
};
use crate::Result;

/// How many jobs go their way beside them.
const JOBS: &str = "20000";
/// How often a page is read.
const READS: usize = 300;

/// What one job and one page cost.
struct Cost {
    processor_us: f64,
    post_ms: f64,
    newest_ms: f64,
    queued_ms: f64,
}

/// Measures with nothing waiting and with so many jobs.
pub(crate) fn measure(mode: Mode, binary: &Path, waiting: usize) -> Result<Vec<Row>> {
    let plan = Plan {
        settings: beside_waiting_jobs(),
        ..Plan::of(mode)
    };
    let empty = cost(&Subject::start(&plan, binary)?, binary)?;
    let subject = Subject::start(&plan, binary)?;
    eprintln!("   {waiting} jobs are put in to wait");
    fill(subject.address()?, WAITING, waiting)?;
    let full = cost(&subject, binary)?;
    let mut rows = Vec::new();
    for (what, of) in [
        (
            "CPU of a job, µs",
            (|cost| cost.processor_us) as fn(&Cost) -> f64,
        ),
        ("POST, p50, ms", |cost| cost.post_ms),
        ("page 1, ms", |cost| cost.newest_ms),
        ("page 1 of the queued, ms", |cost| cost.queued_ms),
    ] {
        rows.push(row(format!("nothing waiting: {what}"), of(&empty)));
        rows.push(row(format!("{waiting} waiting: {what}"), of(&full)));
    }
    Ok(rows)
}

fn cost(subject: &Subject, binary: &Path) -> Result<Cost> {
    let before = subject.processor_time()?;
    let report = load(
        binary,
        &subject.url()?,
        &["--connections=64", "--jobs", JOBS, "--wait=long-poll"],
    )?
    .flawless()?;
    let used = subject.processor_time()?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
    let jobs = report.accepted.max(1) as f64;
    let address = subject.address()?;
    Ok(Cost {
        processor_us: used.as_secs_f64() * 1_000_000.0 / jobs,
        post_ms: report.latency_ms.post.map_or(f64::NAN, |post| post.p50),
        newest_ms: median_get(address, "/v1/jobs?limit=50", READS)?,
        queued_ms: median_get(address, "/v1/jobs?state=queued&limit=50", READS)?,
    })
}
