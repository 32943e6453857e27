//! The history of a job's attempts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::timestamp::Timestamp;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// With a result.
    Succeeded,
    /// With an error, a panic or out of time.
    Failed,
    /// Told to stop.
    Cancelled,
    /// Its worker died.
    Crashed,
    /// Handed back unfinished; not counted.
    Released,
}

impl AttemptOutcome {
    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Crashed => "crashed",
            Self::Released => "released",
        }
    }
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it runs.
    pub finished_at: Option<Timestamp>,
    /// The name of the worker process that ran it.
    pub worker: Option<String>,
    /// How it ended; none while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// Why it failed.
    pub failure: Option<Failure>,
}
