//! The moves that are decided one job at a time: everything but submit, claim and success.
//!
//! Both dialects do the same: lock the rows by the condition of the move, let the pure
//! [`Lifecycle`] decide each, and write what was decided in the same transaction. So there is one
//! place that knows where a move leads, and no row changes between the look and the write.

use std::time::Duration;

use sqlx::FromRow;
use uuid::Uuid;

use super::{
    Finish, StoreError,
    rows::{LifecycleRow, from_json, parsed, priority, read_by_the_writer},
};
use crate::{
    job::{
        AttemptOutcome, Failure, JobId, LeaseId, Lifecycle, Outcome, State, failure::FailureType,
        lifecycle::CRASH_LIMIT,
    },
    queue::{Hint, Lane},
    timestamp::Timestamp,
};

/// The columns of a [`LockedRow`], of `jobs` as `job`.
macro_rules! locked_columns {
    () => {
        "job.id, job.queue, job.priority, job.state, job.attempt, job.max_attempts, job.crashes, \
         job.cancel_requested, job.lease, job.run_at, job.started_at, job.finished_at, \
         job.start_by, job.retain_s, job.failure, (SELECT worker FROM leases WHERE leases.id = job.lease) AS worker"
    };
}
pub(super) use locked_columns;

/// A job that this transaction holds.
#[derive(FromRow)]
pub(super) struct LockedRow {
    id: Uuid,
    queue: String,
    priority: i16,
    #[sqlx(flatten)]
    lifecycle: LifecycleRow,
    lease: Option<Uuid>,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    start_by: Option<Timestamp>,
    retain_s: i64,
    failure: Option<String>,
    worker: Option<String>,
}

read_by_the_writer!(LockedRow {
    id, queue, priority, lease, run_at, started_at, finished_at, start_by, retain_s, failure,
    worker; lifecycle
});

/// A job that this transaction holds, read.
pub(super) struct Locked {
    pub(super) id: JobId,
    pub(super) lane: Lane,
    pub(super) lifecycle: Lifecycle,
    pub(super) lease: Option<LeaseId>,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    start_by: Option<Timestamp>,
    retain: Duration,
    failure: Option<Failure>,
    worker: Option<String>,
}

impl TryFrom<LockedRow> for Locked {
    type Error = StoreError;

    fn try_from(row: LockedRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: JobId::from_uuid(row.id),
            lane: Lane {
                queue: parsed("queue", &row.queue)?,
                priority: priority(row.priority)?,
            },
            lifecycle: row.lifecycle.try_into()?,
            lease: row.lease.map(LeaseId::from_uuid),
            run_at: row.run_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            start_by: row.start_by,
            failure: from_json("failure", row.failure.as_deref())?,
            retain: Duration::from_secs(u64::try_from(row.retain_s).unwrap_or(0)),
            worker: row.worker,
        })
    }
}

/// A move that has been decided, to be written.
pub(super) struct Moved {
    pub(super) id: JobId,
    pub(super) lane: Lane,
    pub(super) lifecycle: Lifecycle,
    /// The lease stays on the row only for telling an attempt's own finish, done before, from a
    /// stale one.
    pub(super) lease: Option<LeaseId>,
    pub(super) run_at: Timestamp,
    /// Set where the job is queued by this move.
    pub(super) queued_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    /// Set where the move has one; else the row's own stays.
    pub(super) failure: Option<Failure>,
    pub(super) backoff: Option<Duration>,
    /// The attempt that this move ended, where the row will hold another.
    pub(super) ended_attempt: Option<EndedAttempt>,
    /// It begins anew: limits of time that were for its first life no longer hold.
    pub(super) begins_anew: bool,
}

/// An attempt that goes into the history.
pub(super) struct EndedAttempt {
    pub(super) number: u32,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
    pub(super) worker: Option<String>,
    pub(super) outcome: AttemptOutcome,
    pub(super) failure: Option<Failure>,
}

/// What of these jobs is to be written, as `make` decides each.
pub(super) fn decide(locked: &[Locked], make: impl Fn(&Locked) -> Option<Moved>) -> Vec<Moved> {
    locked.iter().filter_map(make).collect()
}

/// Those that have come to their end.
pub(super) fn finished(locked: &[Locked]) -> Vec<JobId> {
    let finished = locked
        .iter()
        .filter(|job| job.lifecycle.state.is_terminal());
    finished.map(|job| job.id).collect()
}

impl Moved {
    pub(super) fn state(&self) -> State {
        self.lifecycle.state
    }

    /// The hint that a queued job needs.
    pub(super) fn hint(&self) -> Hint {
        Hint {
            id: self.id,
            lane: self.lane.clone(),
        }
    }
}

impl Locked {
    fn moved(&self, lifecycle: Lifecycle, at: Timestamp, failure: Option<Failure>) -> Moved {
        let finished_at = lifecycle.state.is_terminal().then_some(at);
        Moved {
            id: self.id,
            lane: self.lane.clone(),
            lifecycle,
            lease: self.lease,
            run_at: self.run_at,
            queued_at: (lifecycle.state == State::Queued).then_some(at),
            finished_at,
            expires_at: finished_at.map(|time| time.after(self.retain)),
            failure,
            backoff: None,
            ended_attempt: None,
            begins_anew: false,
        }
    }

    fn ended_attempt(
        &self,
        outcome: AttemptOutcome,
        at: Timestamp,
        failure: Option<Failure>,
    ) -> Option<EndedAttempt> {
        Some(EndedAttempt {
            number: self.lifecycle.attempt,
            started_at: self.started_at?,
            finished_at: at,
            worker: self.worker.clone(),
            outcome,
            failure,
        })
    }

    /// The end of the running attempt otherwise than by success; none where this row is no
    /// longer that attempt's.
    pub(super) fn finish(&self, finish: &Finish) -> Option<Moved> {
        let own = self.lifecycle.attempt == finish.attempt
            && self.lease == Some(finish.lease)
            && self.started_at == Some(finish.started_at);
        if !own {
            return None;
        }
        let at = finish.finished_at;
        let job = self.lifecycle;
        match &finish.outcome {
            // Success is written by a statement of its own, in groups.
            Outcome::Succeeded(_) => None,
            Outcome::Failed(failure) => {
                Some(self.moved(job.fail().ok()?, at, Some(failure.clone())))
            }
            Outcome::Cancelled => {
                let asked = job.request_cancel().ok()?;
                Some(self.moved(asked.cancel().ok()?, at, None))
            }
            Outcome::RetryAt {
                run_at,
                backoff,
                failure,
            } => {
                let mut moved = self.moved(job.retry_later().ok()?, at, Some(failure.clone()));
                if moved.state() == State::Scheduled {
                    moved.run_at = *run_at;
                    moved.backoff = Some(*backoff);
                    moved.ended_attempt =
                        self.ended_attempt(AttemptOutcome::Failed, at, Some(failure.clone()));
                }
                Some(moved)
            }
            Outcome::Released => {
                let mut moved = self.moved(job.release().ok()?, at, None);
                moved.ended_attempt = self
                    .ended_attempt(AttemptOutcome::Released, at, None)
                    .filter(|_| !moved.state().is_terminal());
                Some(moved)
            }
        }
    }

    /// The rescue of a running job whose lease has ended.
    pub(super) fn rescue(&self, now: Timestamp) -> Option<Moved> {
        let next = self.lifecycle.rescue().ok()?;
        let failure = match next.state {
            State::Failed if next.crashes >= CRASH_LIMIT => Failure::new(
                FailureType::CrashLimit,
                format!("the worker died under it {} times", next.crashes),
            ),
            _ => Failure::new(
                FailureType::WorkerLost,
                format!("the worker died during attempt {}", next.attempt),
            ),
        };
        let mut moved = self.moved(next, now, Some(failure.clone()));
        // A finish that the dead worker's process still sends is a stale one from now on.
        moved.lease = None;
        if !next.state.is_terminal() {
            moved.ended_attempt = self.ended_attempt(AttemptOutcome::Crashed, now, Some(failure));
        }
        Some(moved)
    }

    /// The end of a waiting job that is out of time.
    pub(super) fn fail_overdue(&self, now: Timestamp) -> Option<Moved> {
        let not_started =
            self.lifecycle.attempt == 0 && self.start_by.is_some_and(|limit| limit <= now);
        let failure = if not_started {
            Failure::new(
                FailureType::NotStarted,
                "no attempt began within start_within_s",
            )
        } else {
            Failure::new(
                FailureType::Deadline,
                "it was not finished within deadline_s",
            )
        };
        Some(self.moved(self.lifecycle.fail().ok()?, now, Some(failure)))
    }

    /// The time of a scheduled job has come.
    pub(super) fn enqueue(&self, now: Timestamp) -> Option<Moved> {
        Some(self.moved(self.lifecycle.enqueue().ok()?, now, None))
    }

    /// Sends a failed or cancelled job round again; none where it is neither.
    pub(super) fn retry(&self, now: Timestamp) -> Option<Moved> {
        let outcome = match self.lifecycle.state {
            State::Cancelled => AttemptOutcome::Cancelled,
            _ => AttemptOutcome::Failed,
        };
        let mut moved = self.moved(self.lifecycle.retry().ok()?, now, None);
        moved.begins_anew = true;
        moved.run_at = now;
        let ended_at = self.finished_at.unwrap_or(now);
        moved.ended_attempt = self.ended_attempt(outcome, ended_at, self.failure.clone());
        Some(moved)
    }

    /// Calls a waiting job off, or tells a running one to stop; none where it is finished.
    pub(super) fn cancel(&self, now: Timestamp) -> Option<Moved> {
        let next = match self.lifecycle.state {
            State::Running => self.lifecycle.request_cancel(),
            _ => self.lifecycle.cancel(),
        };
        Some(self.moved(next.ok()?, now, None))
    }
}
