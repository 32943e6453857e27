//! A job about to be stored.

use std::time::Duration;

use bytes::Bytes;

use super::{Job, JobId, KindName, Lifecycle, Metadata, Priority, QueueName, State, Tenant};
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
    /// The longest that one attempt may run.
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
