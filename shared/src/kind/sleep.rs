//! `sleep`: waits. For load tests and for trying things out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KindPayload;

/// How long to sleep.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SleepPayload {
    /// Milliseconds to sleep, at most a day.
    #[serde(deserialize_with = "super::integer")]
    #[schemars(range(max = 86_400_000))]
    pub ms: u64,
}

impl KindPayload for SleepPayload {
    const KIND: &'static str = "sleep";
    const DESCRIPTION: &'static str =
        "Sleeps for a number of milliseconds, reporting its progress. For load tests.";
}
