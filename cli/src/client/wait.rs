//! `coatcheck wait`.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use super::{EXIT_STATUS, api::Api, follow, job, output::Output, server::Server, times::duration};
use crate::failure::Failure;

/// The arguments of `coatcheck wait`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct WaitArguments {
    /// The job: its id or its URL.
    #[arg(value_name = "ID", value_parser = job::id)]
    id: String,
    /// The longest to wait, like 30s or 10m; without it as long as it takes.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Print the job exactly as the server describes it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Waits, then shows the job.
pub(crate) fn run(arguments: &WaitArguments) -> Result<ExitCode, Failure> {
    super::run(async {
        let api = Api::new(&arguments.server)?;
        let output = Output::new(arguments.json);
        follow::to_the_end(&api, &arguments.id, arguments.timeout, &output).await
    })
}
