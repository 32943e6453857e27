//! `command`: runs a program that the operator has named in the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KindPayload;

/// Which program to run, and what to give it.
///
/// It is run without a shell, in an environment that is empty but for `COATCHECK_JOB_ID`,
/// `COATCHECK_ATTEMPT` and what the settings add. Exit status 0 makes its standard output the
/// result; its standard error goes to the attempt's log. Any other end fails the attempt, which is
/// retried while one is left; the error's `details` hold `exit_status` or `signal`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandPayload {
    /// The name of a program under `[commands.NAME]` in the worker's settings.
    #[schemars(length(min = 1, max = 64))]
    pub command: String,
    /// What the program reads on its standard input: a string as it is, anything else as JSON.
    /// Without it the input is empty.
    #[serde(default)]
    pub input: Option<serde_json::Value>,
}

impl KindPayload for CommandPayload {
    const KIND: &'static str = "command";
    const DESCRIPTION: &'static str = "Runs a program that the operator allowed, with the input \
                                       on its standard input; its standard output is the result.";
}
