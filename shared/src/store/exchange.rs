//! What the store's verbs take and give, beside the job itself.

use std::collections::HashSet;

use bytes::Bytes;

use super::moves;
use crate::{
    job::{ClaimedJob, Inserted, Job, JobId, JobResult, LeaseId, NewJob, Outcome, Progress, State},
    queue::Hint,
    timestamp::Timestamp,
};

/// A claim of jobs that are only being stored.
#[derive(Clone, Debug)]
pub struct FirstClaim {
    /// Under which lease.
    pub lease: LeaseId,
    /// When: no other claim of the lease has this time.
    pub now: Timestamp,
    /// Which of them: of kinds that the worker runs, to start at once, and not out of time.
    pub ids: HashSet<JobId>,
}

impl FirstClaim {
    /// Those of these jobs that it names and that were stored.
    pub(super) fn wanted<'a>(
        &self,
        jobs: &'a [NewJob],
        inserted: &[Inserted],
    ) -> impl Iterator<Item = &'a NewJob> {
        jobs.iter()
            .zip(inserted)
            .filter(|(job, inserted)| inserted.is_stored() && self.ids.contains(&job.id))
            .map(|(job, _)| job)
    }
}

/// What came of storing jobs and claiming some of them.
#[derive(Debug)]
pub struct FirstClaimed {
    /// Of each, in order.
    pub inserted: Vec<Inserted>,
    /// Those that are claimed, in any order.
    pub claimed: Vec<ClaimedJob>,
}

/// What came of asking a job to stop.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelOutcome {
    /// It had not begun, and now never will.
    Cancelled(Job),
    /// It runs; its worker is to stop it.
    Requested(Job),
    /// It had been cancelled before.
    AlreadyCancelled(Job),
    /// It had finished otherwise.
    Finished(Job),
}

/// What came of sending a job round again.
#[derive(Clone, Debug, PartialEq)]
pub enum RetryOutcome {
    /// It is queued, with at least one attempt before it.
    Requeued(Job),
    /// It is neither failed nor cancelled.
    Refused(Job),
}

/// What came of forgetting a job.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and taken apart at once"
)]
pub enum DeleteOutcome {
    /// It is gone.
    Deleted,
    /// It is not finished, and stays.
    Active(Job),
}

/// What came of asking many jobs to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CancelledJobs {
    /// They had not begun, and now never will.
    pub cancelled: Vec<JobId>,
    /// They run; their workers are to stop them.
    pub requested: Vec<JobId>,
}

/// A result and, where they are few, its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultLookup {
    /// There is no such job.
    NoJob,
    /// The job has no result: it is not finished, or it finished without one.
    NoResult(Job),
    /// The result of a job that succeeded.
    Found {
        /// The job.
        job: Job,
        /// What it left. A stored body is read with [`body_chunk`](super::ReadStore::body_chunk), under the job's
        /// attempt.
        result: JobResult,
    },
}

/// A line that an attempt logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The job.
    pub job: JobId,
    /// Which of its attempts.
    pub attempt: u32,
    /// When the attempt began: it may have the number of one that was handed back.
    pub started_at: Timestamp,
    /// The line's place among the attempt's, from 0.
    pub sequence: u32,
    /// When it was logged.
    pub logged_at: Timestamp,
    /// The line, without its end.
    pub text: String,
}

/// The end of an attempt, to be recorded.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The job.
    pub id: JobId,
    /// Which of its attempts. With the lease, the fencing token.
    pub attempt: u32,
    /// The lease under which it was claimed.
    pub lease: LeaseId,
    /// When it was claimed: tells it from the attempt before, if that was handed back and was claimed
    /// anew under the same lease.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

/// What came of recording the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishOutcome {
    /// Recorded, and the job is now in this state.
    Recorded(State),
    /// This very attempt's end had been recorded already: the reply of that COMMIT was lost.
    AlreadyRecorded(State),
    /// The attempt is no longer the job's newest: what it did is dropped.
    Stale,
}

/// What an attempt says of itself while it runs.
#[derive(Clone, Debug)]
pub struct ProgressReport {
    /// The job.
    pub id: JobId,
    /// Which of its attempts.
    pub attempt: u32,
    /// The lease under which it was claimed.
    pub lease: LeaseId,
    /// How far it is.
    pub progress: Progress,
}

/// A piece of the result of an attempt that still runs.
#[derive(Clone, Debug)]
pub struct ResultChunk {
    /// The job.
    pub id: JobId,
    /// Which of its attempts.
    pub attempt: u32,
    /// The lease under which it was claimed.
    pub lease: LeaseId,
    /// Its place among the pieces, from 0.
    pub sequence: u32,
    /// [`CHUNK_SIZE`](super::CHUNK_SIZE) bytes, fewer only in the last.
    pub bytes: Bytes,
}

/// What came of a sweep for dead workers' jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescued {
    /// Back in their queues.
    pub requeued: Vec<Hint>,
    /// At their end: out of attempts, crashed too often, or told to stop.
    pub ended: Vec<JobId>,
}

impl CancelOutcome {
    /// What came of it, from whether the row moved and what it is now.
    pub(super) fn of(moved: bool, job: Job) -> Self {
        match (moved, job.lifecycle.state) {
            (true, State::Running) => Self::Requested(job),
            (true, _) => Self::Cancelled(job),
            (false, State::Cancelled) => Self::AlreadyCancelled(job),
            (false, _) => Self::Finished(job),
        }
    }
}

impl CancelledJobs {
    pub(super) fn from_moves(moves: &[moves::Moved]) -> Self {
        let (requested, cancelled): (Vec<_>, Vec<_>) = moves
            .iter()
            .partition(|moved| moved.state() == State::Running);
        Self {
            cancelled: cancelled.into_iter().map(|moved| moved.id).collect(),
            requested: requested.into_iter().map(|moved| moved.id).collect(),
        }
    }
}

impl RetryOutcome {
    /// What came of it, from whether the row moved and what it is now.
    pub(super) fn of(moved: bool, job: Job) -> Self {
        if moved {
            Self::Requeued(job)
        } else {
            Self::Refused(job)
        }
    }
}

impl DeleteOutcome {
    /// What came of it, from whether a row was deleted and what is there now; none where the job
    /// never was.
    pub(super) fn of(deleted: bool, left: Option<Job>) -> Option<Self> {
        match left {
            Some(job) => Some(Self::Active(job)),
            None => deleted.then_some(Self::Deleted),
        }
    }
}

impl FinishOutcome {
    /// What came of it where the row did not move: its own attempt's end stands there already, or
    /// another attempt does.
    pub(super) fn of_unchanged(row: Option<&moves::Locked>, finish: &Finish) -> Self {
        match row {
            Some(row)
                if row.lease == Some(finish.lease)
                    && row.lifecycle.attempt == finish.attempt
                    && row.lifecycle.state != State::Running =>
            {
                Self::AlreadyRecorded(row.lifecycle.state)
            }
            _ => Self::Stale,
        }
    }
}

impl Rescued {
    pub(super) fn from_moves(moves: &[moves::Moved]) -> Self {
        let (ended, requeued): (Vec<_>, Vec<_>) =
            moves.iter().partition(|moved| moved.state().is_terminal());
        Self {
            requeued: requeued.into_iter().map(moves::Moved::hint).collect(),
            ended: ended.into_iter().map(|moved| moved.id).collect(),
        }
    }
}
