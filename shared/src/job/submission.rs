//! A job about to be stored.

use std::time::Duration;

use bytes::Bytes;

use super::{
    ClaimedJob, Job, JobId, KindName, LeaseId, Lifecycle, Metadata, Priority, QueueName, State,
    Tenant,
};
use crate::timestamp::Timestamp;

/// A submission that has been found good, with every default filled in.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its identity, made by whoever accepts it.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What is to be done.
    pub kind: KindName,
    /// Where it waits.
    pub queue: QueueName,
    /// How urgent it is there.
    pub priority: Priority,
    /// The media type of the payload.
    pub payload_type: String,
    /// The payload, byte for byte.
    pub payload: Bytes,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it may start. After `created_at`: it is scheduled.
    pub run_at: Timestamp,
    /// How many attempts it has in all.
    pub max_attempts: u32,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// When it fails unless its first attempt has begun.
    pub start_by: Option<Timestamp>,
    /// When it fails unless it is finished.
    pub deadline_at: Option<Timestamp>,
    /// How long it is kept once it is finished.
    pub retain: Duration,
    /// The caller's own strings.
    pub metadata: Metadata,
    /// The W3C trace context of the request.
    pub traceparent: Option<String>,
    /// What makes a repeated request the same.
    pub idempotency: Option<Idempotency>,
    /// What it must not stand beside.
    pub unique: Option<Unique>,
}

/// A client's promise that two requests with this key are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's key, one namespace a tenant.
    pub key: String,
    /// A digest of the request, which tells the same request from another under the same key.
    pub fingerprint: [u8; 32],
    /// The status that the first answer is going to have.
    pub status: u16,
    /// Until when the key is remembered.
    pub expires_at: Timestamp,
}

/// A key that at most one job of a tenant holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// The key.
    pub key: String,
    /// For how long, and what becomes of the job that holds it.
    pub mode: UniqueMode,
}

/// How a unique key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniqueMode {
    /// Until the job is finished.
    WhileActive,
    /// For so long from the submission, whatever becomes of the job.
    Window(Duration),
    /// Until the job is finished; a waiting job that holds it is called off for the new one.
    Replace,
}

/// What became of a submission in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is a job. In its place another was called off, where it replaced one.
    Stored {
        /// The one that was called off.
        replaced: Option<JobId>,
    },
    /// The same request had come before; this is its job.
    Replayed {
        /// The job.
        job: JobId,
        /// The status of the first answer.
        status: u16,
    },
    /// Another request had come under the same key.
    KeyReused,
    /// This job holds the unique key.
    UniqueExists {
        /// The job.
        job: JobId,
    },
}

impl Inserted {
    /// Whether the submission itself is in the store.
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored { .. })
    }
}

impl NewJob {
    /// Where the job begins.
    pub fn lifecycle(&self) -> Lifecycle {
        Lifecycle::submitted(self.max_attempts, self.run_at > self.created_at)
    }

    /// Since when it is queued; none where it is scheduled.
    pub fn queued_at(&self) -> Option<Timestamp> {
        (self.lifecycle().state == State::Queued).then_some(self.created_at)
    }

    /// The job as its worker has it where it is claimed as it is stored; none where it is not to
    /// start yet.
    pub fn claimed(&self, lease: LeaseId, now: Timestamp) -> Option<ClaimedJob> {
        let lifecycle = self.lifecycle().claim().ok()?;
        Some(ClaimedJob {
            id: self.id,
            tenant: self.tenant.clone(),
            kind: self.kind.clone(),
            queue: self.queue.clone(),
            attempt: lifecycle.attempt,
            max_attempts: lifecycle.max_attempts,
            lease,
            created_at: self.created_at,
            queued_at: self.created_at,
            started_at: now,
            timeout: self.timeout,
            deadline_at: self.deadline_at,
            previous_backoff: None,
            payload_type: self.payload_type.clone(),
            payload: self.payload.clone().into(),
            metadata: self.metadata.clone(),
            traceparent: self.traceparent.clone(),
        })
    }

    /// The job as the store holds it right after the insert.
    pub fn into_job(self) -> Job {
        Job {
            lifecycle: self.lifecycle(),
            id: self.id,
            tenant: self.tenant,
            kind: self.kind,
            queue: self.queue,
            priority: self.priority,
            created_at: self.created_at,
            run_at: self.run_at,
            started_at: None,
            finished_at: None,
            expires_at: None,
            timeout: self.timeout,
            start_by: self.start_by,
            deadline_at: self.deadline_at,
            progress: None,
            failure: None,
            metadata: self.metadata,
        }
    }
}
