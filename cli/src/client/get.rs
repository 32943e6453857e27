//! `coatcheck get`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    EXIT_STATUS,
    api::{Api, Call},
    job::{self, Job},
    output::Output,
    result,
    server::Server,
};
use crate::failure::Failure;

/// The arguments of `coatcheck get`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct GetArguments {
    /// The job: its id or its URL.
    #[arg(value_name = "ID", value_parser = job::id)]
    id: String,
    /// Fetch the job's result instead, byte for byte.
    #[arg(long)]
    result: bool,
    /// Write the result to this file; - is stdout.
    #[arg(short, long, value_name = "FILE", requires = "result")]
    output: Option<PathBuf>,
    /// Print the job exactly as the server describes it.
    #[arg(long, conflicts_with = "result")]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Shows a job, or fetches its result.
pub(crate) fn run(arguments: &GetArguments) -> Result<ExitCode, Failure> {
    super::run(async {
        let api = Api::new(&arguments.server)?;
        if arguments.result {
            let to_file = arguments.output.as_deref();
            let to_file = to_file.filter(|path| path.as_os_str() != "-");
            result::fetch(&api, &arguments.id, to_file).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let output = Output::new(arguments.json);
        let answer = output.ask(&api, &Call::get([&arguments.id])).await?;
        if output.json() {
            output.raw(&answer.body)?;
        } else {
            let job: Job = answer.json()?;
            output.table(&job.rows(output.times()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
