//! What happened in a round: every request with its answer, every execution, and how it ended.
//!
//! Times are counted from the start of the driver, on the monotonic clock.

use std::time::Duration;

use serde_json::Value;

/// A request and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// Which API process was asked.
    pub(crate) api: usize,
    pub(crate) asked_at: Duration,
    pub(crate) answered_at: Duration,
    pub(crate) request: Request,
    pub(crate) answer: Answer,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Submit { key: String },
    Get { id: String },
    Result { id: String },
    Cancel { id: String },
    Retry { id: String },
}

impl Request {
    /// The job that it names.
    pub(crate) fn job(&self) -> Option<&str> {
        match self {
            Self::Submit { .. } => None,
            Self::Get { id } | Self::Result { id } | Self::Cancel { id } | Self::Retry { id } => {
                Some(id)
            }
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// No whole answer: the connection was refused, cut, or silent for too long.
    Nothing {
        /// Whether a connection had been made.
        connected: bool,
    },
    /// An answer.
    Whole {
        status: u16,
        /// The job in it, where it shows one.
        job: Option<JobSeen>,
        /// The whole body, of a result; the type of the problem, of an error.
        body: String,
        /// Whether it says when to come back.
        has_retry_after: bool,
        /// Whether it says that it repeats the answer to an earlier request.
        is_replay: bool,
    },
}

impl Answer {
    /// The status, where there is an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Nothing { .. } => None,
            Self::Whole { status, .. } => Some(*status),
        }
    }

    /// The job that it shows.
    pub(crate) fn job(&self) -> Option<&JobSeen> {
        match self {
            Self::Whole { job, .. } => job.as_ref(),
            Self::Nothing { .. } => None,
        }
    }
}

/// A job as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobSeen {
    pub(crate) id: String,
    /// The key that its submitter gave it.
    pub(crate) key: String,
    pub(crate) state: String,
    pub(crate) attempt: u64,
    pub(crate) max_attempts: u64,
    pub(crate) finished_at: Option<String>,
    /// The type of its error, empty where it has none.
    pub(crate) error: String,
}

impl JobSeen {
    /// Reads it, where this is one.
    pub(crate) fn read(job: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            id: text(&job["id"])?,
            key: text(&job["metadata"]["key"]).unwrap_or_default(),
            state: text(&job["state"])?,
            attempt: job["attempt"].as_u64()?,
            max_attempts: job["max_attempts"].as_u64()?,
            finished_at: text(&job["finished_at"]),
            error: text(&job["error"]["type"]).unwrap_or_default(),
        })
    }

    /// Whether it has come to its end.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled")
    }
}

/// An attempt that really ran, as the program itself has noted it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Execution {
    pub(crate) id: String,
    pub(crate) attempt: u64,
    /// The process that it was: tells two executions of one attempt apart.
    pub(crate) process: u64,
    pub(crate) began_at: Duration,
    /// None where it did not come to its end.
    pub(crate) ended_at: Option<Duration>,
}

/// What the fault of a round excuses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Excuses {
    /// Two attempts at one job may run side by side: a worker was frozen, or killed without its
    /// programs.
    pub(crate) side_by_side: bool,
    /// An attempt may run twice under one number: it was handed back, uncharged.
    pub(crate) handed_back: bool,
    /// No request that had reached a process may go without an answer.
    pub(crate) no_resets: bool,
}

/// All that the oracle is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) executions: Vec<Execution>,
    /// Every job of the round that the product knows in the end.
    pub(crate) jobs: Vec<JobSeen>,
    /// Keys for which an acceptance was asked until the end, long after all was healed.
    pub(crate) never_accepted: Vec<String>,
    /// Process ends that nobody had asked for.
    pub(crate) died: Vec<String>,
    pub(crate) excuses: Excuses,
}
