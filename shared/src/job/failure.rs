//! Why a job, or one attempt of it, failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest message that is kept, in bytes. A handler's error may carry a whole page.
const LONGEST_MESSAGE: usize = 8 * 1024;

/// What ended an attempt or a job without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureType {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The attempt took longer than the job's `timeout_s`.
    Timeout,
    /// The job was not finished within its `deadline_s`.
    Deadline,
    /// No attempt began within the job's `start_within_s`.
    NotStarted,
    /// The worker died during the job's last attempt.
    WorkerLost,
    /// The worker died under it too often.
    CrashLimit,
}

impl FailureType {
    /// The name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Deadline => "deadline",
            Self::NotStarted => "not-started",
            Self::WorkerLost => "worker-lost",
            Self::CrashLimit => "crash-limit",
        }
    }
}

/// A failure as it is recorded and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What ended it.
    #[serde(rename = "type")]
    pub failure_type: FailureType,
    /// What happened, for a person.
    pub message: String,
    /// What a program can use: an exit status, an HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl Failure {
    /// A failure with a message, cut where it is over 8 KiB. NUL characters, which Postgres cannot
    /// keep in a text, become U+FFFD.
    pub fn new(failure_type: FailureType, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > LONGEST_MESSAGE {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
            message.push('…');
        }
        if message.contains('\0') {
            message = message.replace('\0', "\u{fffd}");
        }
        Self {
            failure_type,
            message,
            details: None,
        }
    }

    /// The failure with something for a program.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters_and_keeps_no_nul() {
        let failure = Failure::new(FailureType::Error, "\0ä".repeat(10_000));
        assert!(failure.message.len() <= LONGEST_MESSAGE * 2);
        assert!(failure.message.ends_with('…'));
        assert!(!failure.message.contains('\0'));
    }
}
