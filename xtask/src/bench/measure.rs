//! The measurements of one mode.

use std::{collections::BTreeMap, path::Path, time::Duration};

use coatcheck_tests::resources::processor_time;

use super::{
    driver::{finished_job, hammer, wake_ups},
    load::{Quantiles, Report, load},
    subject::{Mode, Plan, Subject},
};
use crate::Result;

/// How many it is to hold at once.
const MANY: usize = 10_000;
/// How long one page is asked for.
const POLLING: Duration = Duration::from_secs(5);
/// How many jobs are waited for, one after another.
const WOKEN: usize = 300;
/// A job that never was.
const UNKNOWN: &str = "/v1/jobs/01900000-0000-7000-8000-000000000000";

/// Measures a mode, on a database of its own for each measurement.
pub(crate) fn measure(mode: Mode, binary: &Path) -> Result<Vec<Row>> {
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    let start = || Subject::start(&Plan::of(mode), binary);
    throughput(&start()?, binary, &mut rows, &mut costs)?;
    followed(&start()?, binary, &mut rows)?;
    for rate in ["200", "1000"] {
        latency(&start()?, binary, rate, &mut rows)?;
    }
    alone_and_polls(&start()?, binary, &mut rows)?;
    let many = Plan {
        held: MANY,
        ..Plan::of(mode)
    };
    held_at_once(&Subject::start(&many, binary)?, binary, &mut rows)?;
    // Last: the parts differ from mode to mode.
    rows.append(&mut costs);
    Ok(rows)
}

/// The median of each row over several runs.
pub(crate) fn medians(runs: Vec<Vec<Row>>) -> Vec<Row> {
    let mut values: Vec<(String, Vec<f64>)> = Vec::new();
    for Row { name, value } in runs.into_iter().flatten() {
        match values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, of_row)) => of_row.push(value),
            None => values.push((name, vec![value])),
        }
    }
    values
        .into_iter()
        .map(|(name, mut of_row)| {
            of_row.sort_by(f64::total_cmp);
            row(name, of_row[of_row.len() / 2])
        })
        .collect()
}

/// A line of the table in one mode.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
}

pub(crate) fn row(name: impl Into<String>, value: f64) -> Row {
    Row {
        name: name.into(),
        value,
    }
}

/// As many jobs as 64 connections can hand in, until the last is done.
fn throughput(
    subject: &Subject,
    binary: &Path,
    rows: &mut Vec<Row>,
    costs: &mut Vec<Row>,
) -> Result<()> {
    let before = subject.processor_times()?;
    let own_before = processor_time(std::process::id())?;
    let report = load(
        binary,
        &subject.url()?,
        &[
            "--connections=64",
            "--duration=10s",
            "--wait=none",
            "--drain",
            "--settle=2m",
        ],
    )?;
    let after = subject.processor_times()?;
    let own_after = processor_time(std::process::id())?;

    rows.push(row("accepted, jobs/s", report.accepted_per_s));
    push_quantiles(rows, "POST", report.latency_ms.post);
    if let Some(rate) = report.drained_per_s {
        rows.push(row("end to end until drained, jobs/s", rate));
    }
    push_processor_times(costs, &report, &before, &after);
    // The load tester is this process's child: it counts here once it has ended.
    costs.push(per_job(
        "load tester",
        own_after.saturating_sub(own_before),
        &report,
    ));
    push_errors(rows, "throughput", &report);
    Ok(())
}

fn push_processor_times(
    rows: &mut Vec<Row>,
    report: &Report,
    before: &BTreeMap<&'static str, Duration>,
    after: &BTreeMap<&'static str, Duration>,
) {
    for (part, time) in after {
        let used = time.saturating_sub(before.get(part).copied().unwrap_or_default());
        rows.push(per_job(part, used, report));
    }
}

fn per_job(part: &str, used: Duration, report: &Report) -> Row {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
    let jobs = report.accepted.max(1) as f64;
    row(
        format!("CPU of {part}, µs/job"),
        used.as_secs_f64() * 1_000_000.0 / jobs,
    )
}

/// A fixed rate, each job followed to its result.
fn latency(subject: &Subject, binary: &Path, rate: &str, rows: &mut Vec<Row>) -> Result<()> {
    let report = load(
        binary,
        &subject.url()?,
        &["--rate", rate, "--duration=10s", "--wait=long-poll"],
    )?;
    let name = format!("POST to result at {rate}/s");
    push_quantiles(rows, &name, report.latency_ms.post_to_result);
    push_errors(rows, &name, &report);
    Ok(())
}

/// Each job submitted, run, recorded and polled once, with nobody waiting but for the product.
fn followed(subject: &Subject, binary: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let before = subject.processor_time()?;
    let report = load(
        binary,
        &subject.url()?,
        &["--connections=64", "--duration=10s", "--wait=long-poll"],
    )?;
    let used = subject.processor_time()?.saturating_sub(before);
    rows.push(Row {
        name: "CPU of all servers with one poll, µs/job".to_owned(),
        ..per_job("all", used, &report)
    });
    push_errors(rows, "followed", &report);
    Ok(())
}

/// A job on an idle system, and how many polls are answered.
fn alone_and_polls(subject: &Subject, binary: &Path, rows: &mut Vec<Row>) -> Result<()> {
    latency(subject, binary, "10", rows)?;
    let address = subject.address()?;
    let woken = wake_ups(address, WOKEN)?;
    for hundredths in [50, 99] {
        let name = format!("a job's end to its waiting client, p{hundredths}, ms");
        rows.push(row(name, woken.quantile_ms(hundredths)));
    }
    let finished = finished_job(address)?;
    let polls = hammer(address, ["GET", &finished, ""], 200, POLLING)?;
    rows.push(row("polls of a finished job, req/s", polls.per_second()));
    let polls = hammer(address, ["GET", UNKNOWN, ""], 404, POLLING)?;
    rows.push(row("polls of an unknown id, req/s", polls.per_second()));
    Ok(())
}

/// Ten thousand jobs of one second.
fn held_at_once(subject: &Subject, binary: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let jobs = MANY.to_string();
    let report = load(
        binary,
        &subject.url()?,
        &[
            "--jobs",
            &jobs,
            "--payload",
            "{\"ms\": 1000}",
            "--connections=64",
            "--wait=none",
            "--drain",
            "--settle=2m",
        ],
    )?;
    if let Some(time) = report.drained_s {
        rows.push(row("10,000 jobs of 1 s until drained, s", time));
    }
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
    let memory = subject.peak_memory_of_worker()? as f64;
    rows.push(row(
        "peak memory of the worker then, MiB",
        memory / f64::from(1 << 20),
    ));
    push_errors(rows, "10,000 jobs of 1 s", &report);
    Ok(())
}

fn push_quantiles(rows: &mut Vec<Row>, name: &str, quantiles: Option<Quantiles>) {
    if let Some(Quantiles { p50, p99 }) = quantiles {
        rows.push(row(format!("{name}, p50, ms"), p50));
        rows.push(row(format!("{name}, p99, ms"), p99));
    }
}

/// Only where there are some: a measurement with errors is to stand out.
fn push_errors(rows: &mut Vec<Row>, name: &str, report: &Report) {
    let errors = report.error_count();
    if errors > 0 {
        eprintln!("   errors: {}", names(report));
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 errors")]
        rows.push(row(format!("ERRORS in: {name}"), errors as f64));
    }
}

fn names(report: &Report) -> String {
    report.errors.keys().cloned().collect::<Vec<_>>().join("; ")
}
