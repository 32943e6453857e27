//! A job's attempts: those that another followed, and the newest, which is in the job's own row.

use crate::job::{Attempt, AttemptOutcome, Job, State, failure::FailureType};

/// The newest attempt, as far as the job's row tells.
pub(super) struct CurrentAttempt<'a> {
    pub(super) job: &'a Job,
    pub(super) worker: Option<String>,
}

/// All attempts, oldest first.
pub(super) fn attempts(mut ended: Vec<Attempt>, current: CurrentAttempt<'_>) -> Vec<Attempt> {
    let newest = current.into_attempt();
    // A job that waits for its next attempt, or ended while it did, has its newest in the history.
    ended.extend(newest.filter(|newest| {
        !ended
            .iter()
            .any(|attempt| attempt.started_at == newest.started_at)
    }));
    ended
}

impl CurrentAttempt<'_> {
    fn into_attempt(self) -> Option<Attempt> {
        let job = self.job;
        let failure_type = job.failure.as_ref().map(|failure| failure.failure_type);
        let outcome = match job.lifecycle.state {
            State::Scheduled | State::Queued => return None,
            State::Running => None,
            State::Succeeded => Some(AttemptOutcome::Succeeded),
            State::Cancelled => Some(AttemptOutcome::Cancelled),
            State::Failed => Some(match failure_type {
                Some(FailureType::CrashLimit | FailureType::WorkerLost) => AttemptOutcome::Crashed,
                _ => AttemptOutcome::Failed,
            }),
        };
        Some(Attempt {
            number: job.lifecycle.attempt,
            started_at: job.started_at?,
            finished_at: job.finished_at,
            worker: self.worker,
            outcome,
            failure: job.failure.clone().filter(|_| outcome.is_some()),
        })
    }
}
