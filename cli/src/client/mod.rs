//! The commands of a client: for people at a terminal, and for scripts.

mod api;
mod follow;
pub(crate) mod get;
mod job;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod moves;
mod output;
mod problem;
mod progress;
mod result;
mod server;
pub(crate) mod submit;
mod times;
pub(crate) mod wait;

use std::process::ExitCode;

use crate::failure::Failure;

/// What the exit status tells, for the help of each command.
const EXIT_STATUS: &str = "\
Exit status:
  0  done; of a job that was waited for: it succeeded
  1  the job failed or was cancelled, or this cannot be done in its state
  2  wrong usage, or a submission that the server refuses
  3  there is no such job, or no result yet
  4  not allowed: the key is missing, wrong or not enough
  5  the server does not answer, or has failed itself
  6  the job was not finished in the time that was waited";

/// Runs a command on a runtime of one thread: it does one thing after the other.
fn run(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?
        .block_on(command)
}
