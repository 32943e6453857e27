//! The job: what it is, which states it goes through, how it is described. Pure: nothing here
//! knows a database, a queue or HTTP.

pub mod attempt;
pub mod backoff;
pub mod failure;
pub mod filter;
pub mod id;
pub mod lifecycle;
pub mod name;
pub mod outcome;
pub mod submission;

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    attempt::{Attempt, AttemptOutcome},
    failure::Failure,
    filter::JobFilter,
    id::{JobId, LeaseId},
    lifecycle::{IllegalMove, Lifecycle, Move, State},
    name::{InvalidName, KindName, QueueName, Tenant},
    outcome::{Body, JobResult, Outcome},
    submission::{Idempotency, Inserted, NewJob, Unique, UniqueMode},
};
use crate::timestamp::Timestamp;

/// How urgent a job is among the waiting jobs of its queue. Declared in the order of service.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before everything else.
    High,
    /// What a submission that does not say gets.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// All of them, in the order of service.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The name on the wire and in Redis.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The number by which the store sorts: a smaller one is served first.
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// The priority of a [`Priority::rank`], none for any other number.
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.rank() == rank)
    }
}

/// How far a running job says it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Between 0 and 100.
    pub percent: f32,
    /// What it is doing, in the handler's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The caller's own strings on a job, for finding it again.
pub type Metadata = BTreeMap<String, String>;

/// A job as it stands in the store, without its payload and result.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its identity; ids sort by the time of submission.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What is to be done.
    pub kind: KindName,
    /// The queue it waits in.
    pub queue: QueueName,
    /// How urgent it is in that queue.
    pub priority: Priority,
    /// Its state and the counters that decide which moves are legal.
    pub lifecycle: Lifecycle,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it may start, or may start again.
    pub run_at: Timestamp,
    /// When its newest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    pub finished_at: Option<Timestamp>,
    /// When the store may forget it. Set once it is finished.
    pub expires_at: Option<Timestamp>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// When it fails unless its first attempt has begun.
    pub start_by: Option<Timestamp>,
    /// When it fails unless it is finished.
    pub deadline_at: Option<Timestamp>,
    /// What its newest attempt last said of itself.
    pub progress: Option<Progress>,
    /// Why it failed, or why its newest attempt did where another will follow.
    pub failure: Option<Failure>,
    /// The caller's own strings.
    pub metadata: Metadata,
}

/// A job that a worker has claimed: all that running it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedJob {
    /// Its identity.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What is to be done.
    pub kind: KindName,
    /// The queue it came from.
    pub queue: QueueName,
    /// The number of this attempt, from 1. With the lease, it is the fencing token.
    pub attempt: u32,
    /// How many attempts it has in all.
    pub max_attempts: u32,
    /// The lease under which it was claimed.
    pub lease: LeaseId,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// Since when it could have been claimed.
    pub queued_at: Timestamp,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// The longest that this attempt may take.
    pub timeout: Option<Duration>,
    /// When the job as a whole is out of time.
    pub deadline_at: Option<Timestamp>,
    /// The pause before this attempt, where it is a retry: the next one grows from it.
    pub previous_backoff: Option<Duration>,
    /// The media type of the payload.
    pub payload_type: String,
    /// The payload, byte for byte as submitted: here, or where it is read.
    pub payload: Body,
    /// The caller's own strings.
    pub metadata: Metadata,
    /// The W3C trace context of the request that submitted it.
    pub traceparent: Option<String>,
}

impl ClaimedJob {
    /// When this attempt is out of time, by its timeout or the job's deadline.
    pub fn out_of_time_at(&self) -> Option<Timestamp> {
        let timeout = self.timeout.map(|limit| self.started_at.after(limit));
        match (timeout, self.deadline_at) {
            (Some(timeout), Some(deadline)) => Some(timeout.min(deadline)),
            (timeout, deadline) => timeout.or(deadline),
        }
    }
}
