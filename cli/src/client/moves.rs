//! `coatcheck cancel` and `coatcheck retry`: what a client does to jobs that exist.

use std::process::ExitCode;

use clap::Args;

use super::{
    EXIT_STATUS,
    api::{Api, Call},
    job::{self, Job},
    output::Output,
    server::Server,
};
use crate::failure::Failure;

/// The arguments of `coatcheck cancel` and `coatcheck retry`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct MoveArguments {
    /// The jobs: their ids or URLs. Each is tried, whatever becomes of the others; the exit status
    /// is that of the first that could not be done.
    #[arg(value_name = "ID", required = true, value_parser = job::id)]
    ids: Vec<String>,
    /// Print each job exactly as the server describes it, one on a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Cancels jobs. A job that is cancelled twice is cancelled once.
pub(crate) fn cancel(arguments: &MoveArguments) -> Result<ExitCode, Failure> {
    super::run(each(arguments, "cancel", true))
}

/// Runs jobs again. Doing it twice could run a job twice.
pub(crate) fn retry(arguments: &MoveArguments) -> Result<ExitCode, Failure> {
    super::run(each(arguments, "retry", false))
}

async fn each(
    arguments: &MoveArguments,
    verb: &str,
    repeatable: bool,
) -> Result<ExitCode, Failure> {
    let api = Api::new(&arguments.server)?;
    let output = Output::new(arguments.json);
    let mut status = None;
    for id in &arguments.ids {
        let call = Call::post([id, verb], repeatable);
        if let Err(failure) = one(&api, &call, &output).await {
            failure.report();
            status.get_or_insert(failure.status());
        }
    }
    Ok(ExitCode::from(status.unwrap_or(0)))
}

async fn one(api: &Api, call: &Call, output: &Output) -> Result<(), Failure> {
    let answer = output.ask(api, call).await?;
    if output.json() {
        return output.raw(&answer.body);
    }
    let job: Job = answer.json()?;
    // 202 to a cancel: it runs, and has been told.
    let state = if job.state.as_str() == "running" {
        "told to stop".to_owned()
    } else {
        job.state.to_string()
    };
    output.text(&format!("{} {state}", job.id))
}
