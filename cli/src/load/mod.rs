//! `coatcheck load`: the load tester that ships with the product.

mod arguments;
mod client;
mod job;
mod measurements;
mod plan;
mod progress;
mod report;
mod run;
mod schedule;

use std::{
    io::Write,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

pub(crate) use self::arguments::LoadArguments;
use self::{client::Client, job::Jobs, plan::Plan, report::Report};
use crate::failure::{Failure, USAGE};

/// Before the first job, so that the tester's own start is in no latency.
const LEAD: Duration = Duration::from_millis(20);

/// Runs a load test to its end.
pub(crate) fn run(arguments: &LoadArguments) -> Result<ExitCode, Failure> {
    let plan = arguments
        .plan()
        .map_err(|reason| Failure::new(USAGE, reason))?;
    // One thread: it needs the least of the machine that it shares with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let report = runtime.block_on(measure(plan))?;
    write(&report, arguments.json())
        .map_err(|error| Failure::error(format!("the report cannot be written: {error}")))?;
    Ok(ExitCode::from(u8::from(!report.is_clean())))
}

async fn measure(plan: Plan) -> Result<Report, Failure> {
    let interrupted = CancellationToken::new();
    crate::shutdown::on_signals(interrupted.clone())?;
    let client = Client::connect(&plan.target, plan.connections, plan.timeout)
        .await
        .map_err(|error| {
            let authority = plan.target.authority.to_str().unwrap_or_default();
            Failure::error(format!("http://{authority}: {error}"))
        })?;
    let start = Instant::now() + LEAD;
    let jobs = Arc::new(Jobs::new(plan, client, start));
    tokio::time::sleep_until(start.into()).await;
    let ending = tokio::select! {
        ending = run::run(&jobs, start, &interrupted) => ending,
        never = progress::show(&jobs, start) => match never {},
    };
    let ending = ending.map_err(|error| Failure::error(format!("no thread: {error}")))?;
    let end = Instant::now();
    Ok(Report::new(jobs.plan(), &jobs.measurements(), ending, end))
}

fn write(report: &Report, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
}
