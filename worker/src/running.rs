//! The jobs that this worker holds, from claim to recorded end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use coatcheck_shared::{
    job::{ClaimedJob, JobId},
    trace,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::lease::Lease;

/// A claimed job on its way to its handler.
pub(crate) struct Run {
    /// What is to be done. It goes through channels and layers, and each would move all of it.
    pub(crate) job: Box<ClaimedJob>,
    /// What is held for it.
    pub(crate) hold: Arc<Hold>,
}

/// What is held for an attempt until its end is recorded: its slot, and its place in the table
/// through which it can be stopped. Dropping it frees both.
pub(crate) struct Hold {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) lease: Lease,
    /// Fires when the job has been told to stop.
    pub(crate) cancel_requested: CancellationToken,
    /// What every line about the run is logged under.
    pub(crate) span: Span,
    running: Arc<Running>,
    _slot: OwnedSemaphorePermit,
}

/// Every attempt that is held.
#[derive(Default)]
pub(crate) struct Running {
    entries: Mutex<HashMap<JobId, Entry>>,
    held: AtomicUsize,
    /// Fires when an attempt is no longer held.
    let_go: Notify,
}

struct Entry {
    attempt: u32,
    since: Instant,
    cancel_requested: CancellationToken,
}

impl Running {
    /// Holds a job that was claimed under a lease.
    pub(crate) fn hold(
        self: &Arc<Self>,
        job: ClaimedJob,
        lease: Lease,
        slot: OwnedSemaphorePermit,
    ) -> Run {
        let cancel_requested = CancellationToken::new();
        // An older attempt of the same job can still be there where its lease was lost. It has
        // been stopped through that.
        self.entries().insert(
            job.id,
            Entry {
                attempt: job.attempt,
                since: Instant::now(),
                cancel_requested: cancel_requested.clone(),
            },
        );
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        record_held(held);
        let hold = Arc::new(Hold {
            id: job.id,
            attempt: job.attempt,
            lease,
            cancel_requested,
            span: span_of(&job),
            running: self.clone(),
            _slot: slot,
        });
        Run {
            job: Box::new(job),
            hold,
        }
    }

    /// Tells those of `jobs` that run here to stop.
    pub(crate) fn cancel(&self, jobs: &[JobId]) {
        let entries = self.entries();
        for entry in jobs.iter().filter_map(|job| entries.get(job)) {
            entry.cancel_requested.cancel();
        }
    }

    /// Waits until nothing is held that has been for less than `probation`.
    pub(crate) async fn settled(&self, probation: Duration) {
        loop {
            let let_go = self.let_go.notified();
            let youngest = self.entries().values().map(|entry| entry.since).max();
            let Some(end) = youngest.map(|since| since + probation) else {
                return;
            };
            if Instant::now() >= end {
                return;
            }
            tokio::select! {
                () = let_go => {}
                () = sleep_until(end) => {}
            }
        }
    }

    /// How many attempts are held.
    pub(crate) fn count(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut entries = self.running.entries();
        if entries
            .get(&self.id)
            .is_some_and(|entry| entry.attempt == self.attempt)
        {
            entries.remove(&self.id);
        }
        drop(entries);
        self.running.let_go.notify_waiters();
        record_held(self.running.held.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a number of jobs in one process"
)]
fn record_held(held: usize) {
    metrics::gauge!("coatcheck_jobs_running").set(held as f64);
}

fn span_of(job: &ClaimedJob) -> Span {
    let span = tracing::info_span!(
        "job",
        job_id = %job.id,
        kind = %job.kind,
        attempt = job.attempt,
        trace_id = tracing::field::Empty,
    );
    if let Some(trace_id) = job.traceparent.as_deref().and_then(trace::trace_id) {
        span.record("trace_id", trace_id);
    }
    span
}
