//! `coatcheck load`: the load tester that ships with the product.

mod arguments;
mod client;
mod events;
mod follow;
mod html;
mod job;
mod measurements;
mod mix;
mod patience;
mod plan;
mod profile;
mod progress;
mod report;
mod run;
mod scenario;
mod schedule;
mod seen;
mod stages;
mod thresholds;
mod timeline;
mod wishes;

use std::{
    io::Write,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

pub(crate) use self::arguments::LoadArguments;
use self::{client::Client, html::Page, job::Jobs, plan::Plan, report::Report};
use crate::{
    failure::{CONDITION_HOLDS, Failure, USAGE},
    file_limit,
};

/// Before the first job, so that the tester's own start is in no latency.
const LEAD: Duration = Duration::from_millis(20);

/// Runs a load test to its end.
pub(crate) fn run(arguments: &LoadArguments) -> Result<ExitCode, Failure> {
    let plan = arguments
        .plan()
        .map_err(|reason| Failure::new(USAGE, reason))?;
    let page = arguments.html().map(Page::open).transpose()?;
    // Each connection is an open file.
    file_limit::raise();
    // One thread: it needs the least of the machine that it shares with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let report = runtime.block_on(measure(plan))?;
    write(&report, arguments.json())
        .map_err(|error| Failure::error(format!("the report cannot be written: {error}")))?;
    if let Some(page) = page {
        page.write(&report)?;
    }
    Ok(ExitCode::from(
        match (report.has_failed(), report.is_clean()) {
            (true, _) => CONDITION_HOLDS,
            (false, true) => 0,
            (false, false) => 1,
        },
    ))
}

async fn measure(plan: Plan) -> Result<Report, Failure> {
    let interrupted = CancellationToken::new();
    crate::shutdown::on_signals(interrupted.clone())?;
    let connected = tokio::select! {
        connected = Client::connect(&plan.target, plan.connections, plan.timeout) => connected,
        () = interrupted.cancelled() => return Err(Failure::error("interrupted before the start")),
    };
    let client = connected.map_err(|error| {
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
    let mut measurements = jobs.measurements();
    measurements.end(end);
    Ok(Report::new(jobs.plan(), &measurements, ending, end))
}

fn write(report: &Report, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if json {
        serde_json::to_writer(&mut out, report)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        write!(out, "{report}")
    };
    match written.and_then(|()| out.flush()) {
        // Who closed it has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
