//! `command`: runs a program that the operator has named in the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KindPayload;

/// Which program to run, and what to give it.
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
