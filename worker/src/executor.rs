//! One run of a job, from the claimed row to what is to be recorded of it.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use coatcheck_shared::{
    clock::{Clock, SynchronisedClock},
    job::{Body, ClaimedJob, Failure, JobResult, Outcome, failure::FailureType},
    store::Store,
    timestamp::Timestamp,
};
use futures::FutureExt;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    HandlerError, JobContext, Registry,
    claimer::Sort,
    context::{Report, ResultPlace, ResultTarget},
    ending::{Ending, Rules, StopCause, TimeLimit, panic_message},
    payloads::Payloads,
    queue_labels::QueueLabels,
    reporter, run_trace,
    running::{Hold, Run},
    ward::PROBATION,
};

/// How long a handler has to stop before it is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Graces {
    /// Once its job is to be called off.
    pub(crate) cancel: Duration,
    /// Once the worker's own grace is over.
    pub(crate) shut_down: Duration,
    /// Once its lease is lost: less than is left of the lease.
    pub(crate) lease_lost: Duration,
}

impl Graces {
    const fn after(&self, cause: StopCause) -> Duration {
        match cause {
            StopCause::CancelRequested => self.cancel,
            StopCause::ShutDown => self.shut_down,
            StopCause::LeaseLost => self.lease_lost,
        }
    }
}

/// Runs jobs.
pub(crate) struct Executor {
    pub(crate) registry: Registry,
    /// What lies beside the jobs' rows.
    pub(crate) payloads: Payloads,
    /// Where results go that are not held as a whole.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: SynchronisedClock,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) rules: Rules,
    pub(crate) graces: Graces,
    /// The queues that have a label of their own in metrics.
    pub(crate) queue_labels: QueueLabels,
    /// Fires when the worker is told to end: nothing begins after it.
    pub(crate) draining: CancellationToken,
    /// Fires when the worker's grace is over: what runs is stopped.
    pub(crate) abandoned: CancellationToken,
}

impl Executor {
    /// Runs a job. None: nothing is to be recorded, its lease being lost.
    pub(crate) async fn execute(&self, run: Run) -> Option<Outcome> {
        let Run { mut job, hold } = run;
        if hold.lease.lost.is_cancelled() {
            return None;
        }
        if self.draining.is_cancelled() {
            return Some(Outcome::Released);
        }
        let payload = match self.payload_of(&job, &hold).await {
            Ok(payload) => payload,
            Err(outcome) => return outcome,
        };
        let began_at = self.observe_wait(&job);
        let span = run_trace::begin(&mut job, began_at);
        let context = self.context_of(job);
        let (ending, stopped_by) = self.run_handler(payload, &context, &hold).await;
        let ended_at = self.clock.now();
        observe_run(context.job(), ended_at.since(began_at));
        report_ending(&ending, stopped_by);
        run_trace::end(span, &ending, ended_at);
        if stopped_by != Some(StopCause::LeaseLost) && context.has_reported() {
            reporter::flush(&self.reports).await;
        }
        self.rules
            .outcome(context.job(), ending, stopped_by, ended_at)
    }

    /// The payload, with which the handler may begin; else what is to be recorded.
    async fn payload_of(&self, job: &ClaimedJob, hold: &Hold) -> Result<Bytes, Option<Outcome>> {
        let size = match &job.payload {
            Body::Inline(payload) => return Ok(payload.clone()),
            Body::Stored { size } => *size,
        };
        let (ending, stopped_by) = tokio::select! {
            biased;
            limit = self.out_of_time(job) => (Ending::OutOfTime(limit), None),
            cause = self.told_to_stop(hold) => (Ending::Dropped, Some(cause)),
            () = self.draining.cancelled() => (Ending::Dropped, Some(StopCause::ShutDown)),
            () = hold.stands_beside_suspects(), if hold.sort == Sort::Ordinary => {
                (Ending::Dropped, None)
            }
            () = sleep(PROBATION), if hold.sort == Sort::Suspects => {
                let error = "the payload could not be read while all other jobs waited for it";
                (Ending::Returned(Err(HandlerError::retry(error))), None)
            }
            read = self.payloads.read(job.id, size) => match read {
                Ok(payload) if hold.begins() => return Ok(payload),
                Ok(_) => (Ending::Dropped, None),
                Err(error) => (Ending::Returned(Err(error)), None),
            },
        };
        tracing::info!(
            ?stopped_by,
            "the job has not begun: its payload was being read"
        );
        let now = self.clock.now();
        Err(self.rules.outcome(job, ending, stopped_by, now))
    }

    fn context_of(&self, job: Box<ClaimedJob>) -> JobContext {
        // A token of its own: the handler cannot call off its job by firing it, and does not hear
        // of a request to stop before the executor knows that this is why it ends.
        let cancellation = CancellationToken::new();
        let results = ResultTarget {
            place: ResultPlace::Store(self.store.clone()),
            most_bytes: self.rules.result_bytes,
        };
        let (reports, clock) = (self.reports.clone(), self.clock.clone());
        JobContext::new(job, cancellation, reports, clock, results)
    }

    fn observe_wait(&self, job: &ClaimedJob) -> Timestamp {
        self.queue_labels
            .record_wait(&job.queue, job.started_at.since(job.queued_at));
        tracing::debug!(worker_lease = %job.lease, "the job begins");
        self.clock.now()
    }

    /// The handler's ending, and why it was told to stop where it was.
    async fn run_handler(
        &self,
        payload: Bytes,
        context: &JobContext,
        hold: &Hold,
    ) -> (Ending, Option<StopCause>) {
        let Some(handler) = self.registry.handler(context.kind()) else {
            let error = HandlerError::fail("this worker has no handler for the job's kind");
            return (Ending::Returned(Err(error)), None);
        };
        let handler = handler.run(payload, context);
        let mut handler = AssertUnwindSafe(handler).catch_unwind();
        tokio::select! {
            biased;
            ended = &mut handler => (ending_of(ended), None),
            limit = self.out_of_time(context.job()) => (Ending::OutOfTime(limit), None),
            cause = self.told_to_stop(hold) => {
                context.cancellation().cancel();
                self.stop(Pin::new(&mut handler), cause, hold).await
            }
        }
    }

    /// Ends when the attempt's time is over.
    async fn out_of_time(&self, job: &ClaimedJob) -> TimeLimit {
        let Some(end) = job.out_of_time_at() else {
            return std::future::pending().await;
        };
        loop {
            // The clock is the database's, and can be set back while we sleep.
            let left = end.since(self.clock.now());
            if left.is_zero() {
                break;
            }
            sleep(left).await;
        }
        if job.deadline_at == Some(end) {
            TimeLimit::Deadline
        } else {
            TimeLimit::Timeout
        }
    }

    /// Ends when the handler is to stop.
    async fn told_to_stop(&self, hold: &Hold) -> StopCause {
        tokio::select! {
            biased;
            () = hold.lease.lost.cancelled() => StopCause::LeaseLost,
            () = hold.cancel_requested.cancelled() => StopCause::CancelRequested,
            () = self.abandoned.cancelled() => StopCause::ShutDown,
        }
    }

    /// Lets a handler that has been told to stop do so, for a while.
    async fn stop<F>(
        &self,
        handler: Pin<&mut F>,
        cause: StopCause,
        hold: &Hold,
    ) -> (Ending, Option<StopCause>)
    where
        F: Future<Output = Caught>,
    {
        let patience = async {
            if cause == StopCause::LeaseLost {
                return sleep(self.graces.after(cause)).await;
            }
            tokio::select! {
                () = sleep(self.graces.after(cause)) => {}
                () = hold.lease.lost.cancelled() => sleep(self.graces.lease_lost).await,
                () = self.abandoned.cancelled() => sleep(self.graces.shut_down).await,
            }
        };
        let ending = tokio::select! {
            biased;
            ended = handler => ending_of(ended),
            () = patience => Ending::Dropped,
        };
        let lost = hold.lease.lost.is_cancelled();
        (
            ending,
            Some(if lost { StopCause::LeaseLost } else { cause }),
        )
    }
}

type Caught = std::thread::Result<Result<JobResult, HandlerError>>;

fn ending_of(caught: Caught) -> Ending {
    match caught {
        Ok(returned) => Ending::Returned(returned),
        Err(panic) => Ending::Panicked(panic_message(&*panic)),
    }
}

/// The outcome of a run whose panic got past the executor: out of a destructor, say.
pub(crate) fn outcome_of_lost_run(message: String) -> Outcome {
    Outcome::Failed(Failure::new(FailureType::Panic, message))
}

fn observe_run(job: &ClaimedJob, took: Duration) {
    metrics::histogram!("coatcheck_job_run_seconds", "kind" => job.kind.to_string()).record(took);
}

/// What a handler says of its failure may hold parts of the payload: it is in the job, for those who
/// may see that, and not in the log.
fn report_ending(ending: &Ending, stopped_by: Option<StopCause>) {
    match (ending, stopped_by) {
        (Ending::Returned(Ok(_)), _) => tracing::debug!("the handler is done"),
        (Ending::Returned(Err(_)), None) => {
            tracing::warn!("the attempt failed: the job's error says why");
        }
        (Ending::Panicked(_), _) => {
            tracing::error!("the handler panicked: the job's error has its words");
        }
        (Ending::OutOfTime(limit), _) => tracing::warn!(?limit, "the attempt is out of time"),
        (Ending::Returned(Err(_)) | Ending::Dropped, cause) => {
            tracing::info!(?cause, "the handler was stopped");
        }
    }
}
