//! `command`: runs a program that the operator has named in the settings.
//!
//! The program is never given to a shell. It gets a group of processes of its own, an environment
//! that is empty but for `PATH`, `COATCHECK_JOB_ID`, `COATCHECK_ATTEMPT` and what the settings add,
//! its input on a pipe, and is read through pipes. Nothing of the group outlives the attempt,
//! however that ends.
//!
//! Exit status 0 makes the standard output the result. Every other end is a failed attempt that
//! may be retried: what a status means is the program's own affair.
//!
//! One case is out of reach without `unsafe`: a worker that is itself killed with SIGKILL cannot
//! take its programs along. Their pipes close then, so they read the end of their input and get
//! SIGPIPE at their next write; under systemd or in a container the rest of the worker's control
//! group goes with it.

mod error_log;
mod process;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use coatcheck_shared::{
    job::{JobResult, KindName},
    kind::{KindPayload, command::CommandPayload},
    settings::{CommandSettings, Settings},
};

use self::process::{Process, RunError, ending};
use crate::{BytesHandler, Handler, HandlerError, JobContext, RawPayload};

/// How long a program may take to end after SIGTERM, at most; then it gets SIGKILL.
const LONGEST_TERMINATION: Duration = Duration::from_secs(2);

/// Runs `command`.
#[derive(Clone, Debug)]
pub struct CommandHandler {
    commands: BTreeMap<String, CommandSettings>,
    result_bytes: usize,
    termination: Duration,
}

impl CommandHandler {
    /// A handler that runs the programs in these settings, and no others.
    pub fn new(settings: &Settings) -> Self {
        Self {
            commands: settings.commands.clone(),
            result_bytes: settings.worker.result_bytes,
            // Past the grace the attempt is dropped: SIGKILL has to come before.
            termination: LONGEST_TERMINATION.min(settings.worker.cancel_grace() / 2),
        }
    }

    /// Each program as a kind of its own, but for those whose names are no part of a kind's.
    pub fn kinds(&self) -> Vec<CommandKind> {
        let kinds = self.commands.keys().map(|name| CommandKind {
            handler: self.clone(),
            name: name.clone(),
            kind: format!("{}.{name}", CommandPayload::KIND),
            description: format!(
                "Runs the program {name} with the payload on its standard input; its standard \
                 output is the result."
            ),
        });
        kinds
            .filter(|kind| kind.kind.parse::<KindName>().is_ok())
            .collect()
    }

    async fn run_command(
        &self,
        name: &str,
        input: Bytes,
        context: &JobContext,
    ) -> Result<JobResult, HandlerError> {
        let command = self.find(name)?;
        let most_bytes = command
            .output_bytes
            .map_or(self.result_bytes, |bytes| bytes.min(self.result_bytes));
        let process = Process::start(command, context.job())
            .await
            .map_err(|error| HandlerError::retry(format!("{name} cannot be started: {error}")))?;
        let ended = process
            .run(input, most_bytes, self.termination, context)
            .await
            .map_err(|error| unfinished(name, error))?;
        if ended.status.success() {
            let body = ended.output.finish().await?;
            return Ok(JobResult::new(command.content_type.clone(), body));
        }
        let (how, details) = ending(ended.status);
        let mut message = format!("{name} {how}");
        if !ended.last_words.is_empty() {
            message = format!("{message}: {}", ended.last_words);
        }
        Err(HandlerError::retry(message).with_details(details))
    }

    fn find(&self, name: &str) -> Result<&CommandSettings, HandlerError> {
        self.commands.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.commands.keys().map(String::as_str).collect();
            HandlerError::fail(if names.is_empty() {
                format!("there is no command {name:?}: this worker's settings name none")
            } else {
                let names = names.join(", ");
                format!("there is no command {name:?}: this worker's settings name {names}")
            })
        })
    }
}

impl Handler for CommandHandler {
    type Payload = CommandPayload;
    type Output = JobResult;

    async fn run(
        &self,
        payload: CommandPayload,
        context: &JobContext,
    ) -> Result<JobResult, HandlerError> {
        let input = input_bytes(payload.input);
        self.run_command(&payload.command, input.into(), context)
            .await
    }
}

/// One of the programs as a kind of its own, `command.NAME`: the payload is what it reads.
pub struct CommandKind {
    handler: CommandHandler,
    name: String,
    kind: String,
    description: String,
}

impl BytesHandler for CommandKind {
    type Output = JobResult;

    fn kind(&self) -> &str {
        &self.kind
    }

    fn description(&self) -> &str {
        &self.description
    }

    async fn run(
        &self,
        payload: RawPayload,
        context: &JobContext,
    ) -> Result<JobResult, HandlerError> {
        self.handler
            .run_command(&self.name, payload.bytes, context)
            .await
    }
}

fn unfinished(name: &str, error: RunError) -> HandlerError {
    match error {
        RunError::TooMuch(_) => HandlerError::fail(format!(
            "{name} was killed: {error}, the most that commands.{name}.output_bytes and \
             COATCHECK_WORKER__RESULT_BYTES allow"
        )),
        RunError::Output(error) => error,
        RunError::Stopped | RunError::Pipe(_) => HandlerError::retry(format!("{name}: {error}")),
    }
}

/// A string as it is, anything else as JSON.
fn input_bytes(input: Option<serde_json::Value>) -> Vec<u8> {
    match input {
        None => Vec::new(),
        Some(serde_json::Value::String(text)) => text.into_bytes(),
        Some(json) => json.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests;
