//! The queue: hints that a job is ready. See [`Queue`].

#[cfg(test)]
mod conformance;
pub mod in_process;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;

use crate::job::{JobId, Priority, QueueName};

/// Where a hint waits: within a lane, first in is first out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The queue.
    pub queue: QueueName,
    /// The priority within it.
    pub priority: Priority,
}

/// "Look at this job's row: it may be ready to run."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The job.
    pub id: JobId,
    /// Where it waits.
    pub lane: Lane,
}

/// At which end of a lane hints are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Behind all others: a job that has just become ready.
    Back,
    /// Before all others: a job that has waited longest, its hint having been lost.
    Front,
}

/// Why the queue did not do what it was asked.
///
/// Nothing is lost by it: a hint that was not pushed is pushed again by the dispatcher.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// It could not be reached or did not answer in time. That passes.
    #[error("the queue is not available: {0}")]
    Unavailable(String),
    /// Its address, its credentials or its version are wrong. That does not pass by itself.
    #[error("the queue cannot be used: {0}")]
    Unusable(String),
}

/// Hints, from whoever makes a job ready to whoever can run it.
///
/// A hint may be lost, doubled, late or stale, and nothing goes wrong: the job's row decides.
/// Every implementation passes the suite in `conformance.rs`.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Adds hints to their lanes, keeping their order: with [`End::Front`] the first of them
    /// becomes the lane's first.
    async fn push(&self, hints: &[Hint], end: End) -> Result<(), QueueError>;

    /// Takes up to `limit` hints from the first of `lanes` that has any, waiting up to `wait` for
    /// one to come. Empty where none came: with no lane or a limit of zero that is after `wait`.
    /// Not to be cancelled: a hint that had been taken would be lost (and only found again after
    /// the grace). The queue of one process can be.
    async fn pop(
        &self,
        lanes: &[Lane],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<JobId>, QueueError>;

    /// The oldest hint of a lane, none where it is empty. The hint stays.
    async fn oldest(&self, lane: &Lane) -> Result<Option<JobId>, QueueError>;

    /// How many hints a lane holds.
    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError>;

    /// Whether the queue answers.
    async fn ping(&self) -> Result<(), QueueError>;
}
