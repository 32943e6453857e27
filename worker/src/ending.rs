//! From how a handler ended to what the store is to record. Pure.

use std::any::Any;

use coatcheck_shared::{
    job::{ClaimedJob, Failure, JobResult, Outcome, backoff::Backoff, failure::FailureType},
    timestamp::Timestamp,
};

use crate::{HandlerError, handler::Then};

/// Why a handler was told to stop before it had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// The job is to be called off.
    CancelRequested,
    /// The worker ends, and its grace is over or the handler has not begun.
    ShutDown,
    /// The job may belong to another worker by now.
    LeaseLost,
}

/// Which of its limits an attempt has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    /// The longest that one attempt may take.
    Timeout,
    /// When the job as a whole has to be finished.
    Deadline,
}

/// How a handler ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// By itself.
    Returned(Result<JobResult, HandlerError>),
    /// By a panic with this message.
    Panicked(String),
    /// It was dropped, its time being over.
    OutOfTime(TimeLimit),
    /// It was told to stop, did not, and was dropped; or it had not begun.
    Dropped,
}

/// What decides beside the ending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How the pauses between attempts grow.
    pub(crate) backoff: Backoff,
    /// The largest result.
    pub(crate) result_bytes: usize,
}

impl Rules {
    /// What to record of an attempt that ended at `now`. None: nothing, its lease being lost.
    pub(crate) fn outcome(
        &self,
        job: &ClaimedJob,
        ending: Ending,
        stopped_by: Option<StopCause>,
        now: Timestamp,
    ) -> Option<Outcome> {
        if stopped_by == Some(StopCause::LeaseLost) {
            return None;
        }
        // Work that was done counts, whatever was asked meanwhile.
        if let Ending::Returned(Ok(result)) = ending {
            return Some(self.of_result(result));
        }
        Some(match stopped_by {
            Some(StopCause::CancelRequested) => Outcome::Cancelled,
            Some(_) => Outcome::Released,
            None => self.of_failure(job, ending, now),
        })
    }

    fn of_result(&self, result: JobResult) -> Outcome {
        let size = result.body.size();
        if size <= self.result_bytes as u64 {
            return Outcome::Succeeded(result);
        }
        Outcome::Failed(Failure::new(
            FailureType::Error,
            format!(
                "the result has {size} bytes, and at most {} are kept (worker.result_bytes)",
                self.result_bytes
            ),
        ))
    }

    fn of_failure(&self, job: &ClaimedJob, ending: Ending, now: Timestamp) -> Outcome {
        let usual_pause = || self.backoff.next(job.previous_backoff, &mut rand::rng());
        let (failure, pause) = match ending {
            Ending::Returned(Ok(result)) => return self.of_result(result),
            Ending::Returned(Err(error)) => {
                let (message, details, then) = error.into_parts();
                let mut failure = Failure::new(FailureType::Error, message);
                failure.details = details;
                match then {
                    Then::Retry => (failure, usual_pause()),
                    Then::RetryAfter(pause) => (failure, pause),
                    Then::Fail => return Outcome::Failed(failure),
                }
            }
            Ending::Panicked(message) => (Failure::new(FailureType::Panic, message), usual_pause()),
            Ending::OutOfTime(TimeLimit::Timeout) => (timed_out(job), usual_pause()),
            Ending::OutOfTime(TimeLimit::Deadline) => {
                return Outcome::Failed(Failure::new(
                    FailureType::Deadline,
                    "the job was not finished by its deadline",
                ));
            }
            Ending::Dropped => return Outcome::Released,
        };
        Outcome::of_failed_attempt(job, failure, pause, now)
    }
}

fn timed_out(job: &ClaimedJob) -> Failure {
    let limit = job.timeout.unwrap_or_default();
    Failure::new(
        FailureType::Timeout,
        format!("the attempt took longer than its {} s", limit.as_secs_f64()),
    )
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the handler panicked without a message".to_owned())
}

#[cfg(test)]
pub(crate) mod tests;
