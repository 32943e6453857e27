//! How an attempt ends.

use std::time::Duration;

use bytes::Bytes;

use super::{ClaimedJob, Failure, failure::FailureType};
use crate::timestamp::Timestamp;

/// What a job leaves behind, served byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobResult {
    /// The media type of the body.
    pub content_type: String,
    /// The status of the answer, where the result is an HTTP answer.
    pub status: Option<u16>,
    /// The header fields of the answer, where the result is an HTTP answer.
    pub headers: Vec<(String, String)>,
    /// The bytes, or where they are.
    pub body: Body,
}

/// The bytes of a payload or a result, or where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Here.
    Inline(Bytes),
    /// In the store, chunk by chunk: a result under the attempt that wrote it, a payload under
    /// [`PAYLOAD_ATTEMPT`](crate::store::PAYLOAD_ATTEMPT).
    Stored {
        /// How many bytes.
        size: u64,
    },
}

impl Body {
    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored { size } => *size,
        }
    }

    /// The bytes, where they are here.
    pub const fn inline(&self) -> Option<&Bytes> {
        match self {
            Self::Inline(bytes) => Some(bytes),
            Self::Stored { .. } => None,
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Inline(bytes.into())
    }
}

/// Whether the bytes are here and these.
impl<B: AsRef<[u8]> + ?Sized> PartialEq<B> for Body {
    fn eq(&self, other: &B) -> bool {
        self.inline()
            .is_some_and(|bytes| &**bytes == other.as_ref())
    }
}

impl JobResult {
    /// A result with a body and nothing else.
    pub fn new(content_type: impl Into<String>, body: impl Into<Body>) -> Self {
        Self {
            content_type: content_type.into(),
            status: None,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// How an attempt ended, as the store is to record it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a result.
    Succeeded(JobResult),
    /// The job is given up.
    Failed(Failure),
    /// It was told to stop, and has.
    Cancelled,
    /// It failed; the next attempt follows.
    RetryAt {
        /// When.
        run_at: Timestamp,
        /// The pause until then, from which the next one grows.
        backoff: Duration,
        /// Why it failed.
        failure: Failure,
    },
    /// It is handed back unfinished, and does not count.
    Released,
}

impl Outcome {
    /// A failed attempt of a job: another attempt after `backoff` where one is left and can still
    /// begin before the job's deadline, else the end.
    pub fn of_failed_attempt(
        job: &ClaimedJob,
        failure: Failure,
        backoff: Duration,
        now: Timestamp,
    ) -> Self {
        let run_at = now.after(backoff);
        if job.attempt >= job.max_attempts {
            return Self::Failed(failure);
        }
        if job.deadline_at.is_some_and(|deadline| run_at >= deadline) {
            return Self::Failed(Failure::new(
                FailureType::Deadline,
                format!(
                    "the next attempt would begin after the job's deadline; the last one failed: {}",
                    failure.message
                ),
            ));
        }
        Self::RetryAt {
            run_at,
            backoff,
            failure,
        }
    }
}
