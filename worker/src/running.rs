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
    timestamp::Timestamp,
    trace,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{claimer::Sort, lease::Lease};

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
    /// When it was claimed. No other claim under its lease has that time.
    pub(crate) started_at: Timestamp,
    pub(crate) lease: Lease,
    /// Fires when the job has been told to stop.
    pub(crate) cancel_requested: CancellationToken,
    /// What every line about the run is logged under.
    pub(crate) span: Span,
    /// How it was claimed.
    pub(crate) sort: Sort,
    running: Arc<Running>,
    _slot: OwnedSemaphorePermit,
}

/// Every attempt that is held.
#[derive(Default)]
pub(crate) struct Running {
    entries: Mutex<HashMap<JobId, Entry>>,
    held: AtomicUsize,
    /// Fires when an attempt begins late, or is no longer held.
    moved: Notify,
    /// Whether suspects run apart.
    apart: watch::Sender<bool>,
    suspects_begun: AtomicUsize,
}

/// Suspects run apart for as long as it lives.
pub(crate) struct Apart(Arc<Running>);

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.apart.send_replace(false);
    }
}

struct Entry {
    started_at: Timestamp,
    sort: Sort,
    /// None while its payload is being read.
    begun: Option<Instant>,
    cancel_requested: CancellationToken,
}

impl Running {
    /// Holds a job that was claimed under a lease. It begins at once where its payload is there.
    pub(crate) fn hold(
        self: &Arc<Self>,
        sort: Sort,
        job: ClaimedJob,
        lease: Lease,
        slot: OwnedSemaphorePermit,
    ) -> Run {
        let cancel_requested = CancellationToken::new();
        let begun = job.payload.inline().map(|_| Instant::now());
        if begun.is_some() {
            self.note_begun(sort);
        }
        // An older attempt of the same job can still be there where its lease was lost. It has
        // been stopped through that.
        self.entries().insert(
            job.id,
            Entry {
                started_at: job.started_at,
                sort,
                begun,
                cancel_requested: cancel_requested.clone(),
            },
        );
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        record_held(held);
        let hold = Arc::new(Hold {
            id: job.id,
            attempt: job.attempt,
            started_at: job.started_at,
            lease,
            cancel_requested,
            span: span_of(&job),
            sort,
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

    /// From now on no other job begins whose payload is still being read.
    pub(crate) fn set_suspects_apart(self: &Arc<Self>) -> Apart {
        self.apart.send_replace(true);
        Apart(self.clone())
    }

    /// How many suspects have begun so far.
    pub(crate) fn suspects_begun(&self) -> usize {
        self.suspects_begun.load(Ordering::Relaxed)
    }

    fn note_begun(&self, sort: Sort) {
        if sort == Sort::Suspects {
            self.suspects_begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until nothing is held that has run for less than `probation`, and no suspect that has
    /// yet to begin. No other that has yet to begin does so while suspects are set apart.
    pub(crate) async fn settled(&self, probation: Duration) {
        loop {
            let moved = self.moved.notified();
            match self.settles_at(probation) {
                Settles::At(end) if Instant::now() >= end => return,
                Settles::At(end) => tokio::select! {
                    () = moved => {}
                    () = sleep_until(end) => {}
                },
                Settles::AfterAMove => moved.await,
                Settles::Now => return,
            }
        }
    }

    fn settles_at(&self, probation: Duration) -> Settles {
        let entries = self.entries();
        let is_to_begin = |entry: &Entry| entry.sort == Sort::Suspects && entry.begun.is_none();
        if entries.values().any(is_to_begin) {
            return Settles::AfterAMove;
        }
        let youngest = entries.values().filter_map(|entry| entry.begun).max();
        youngest.map_or(Settles::Now, |begun| Settles::At(begun + probation))
    }

    /// How many attempts are held.
    pub(crate) fn count(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When nothing is young any more.
enum Settles {
    Now,
    At(Instant),
    /// Not before an attempt has begun or is no longer held.
    AfterAMove,
}

impl Hold {
    /// Ends when suspects run apart.
    pub(crate) async fn stands_beside_suspects(&self) {
        let mut apart = self.running.apart.subscribe();
        // The sender is there for as long as this is.
        let _ = apart.wait_for(|apart| *apart).await;
    }

    /// Notes that the handler begins only now; false where it must not, as suspects run apart.
    pub(crate) fn begins(&self) -> bool {
        let mut entries = self.running.entries();
        // Asked under the lock: who sets suspects apart afterwards finds it begun.
        if self.sort == Sort::Ordinary && *self.running.apart.borrow() {
            return false;
        }
        self.running.note_begun(self.sort);
        let own = entries.get_mut(&self.id);
        if let Some(own) = own.filter(|entry| entry.started_at == self.started_at) {
            own.begun = Some(Instant::now());
        }
        drop(entries);
        self.running.moved.notify_waiters();
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut entries = self.running.entries();
        if entries
            .get(&self.id)
            .is_some_and(|entry| entry.started_at == self.started_at)
        {
            entries.remove(&self.id);
        }
        drop(entries);
        self.running.moved.notify_waiters();
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

#[cfg(test)]
mod tests {
    use coatcheck_shared::job::Body;
    use tokio::{sync::Semaphore, time::timeout};

    use super::*;
    use crate::ending::tests::job;

    const PROBATION: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(20);

    async fn held(running: &Arc<Running>, sort: Sort, payload: Body) -> Run {
        let job = ClaimedJob { payload, ..job(1) };
        let lease = Lease {
            id: job.lease,
            lost: CancellationToken::new(),
        };
        let slot = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        running.hold(sort, job, lease, slot)
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_yet_to_begin_is_waited_for_where_it_is_a_suspect() {
        let running = Arc::new(Running::default());
        let stored = || Body::Stored { size: 100_000 };
        let settled = |limit| timeout(limit, running.settled(PROBATION));

        let ordinary = held(&running, Sort::Ordinary, stored()).await;
        let apart = running.set_suspects_apart();
        settled(Duration::ZERO).await.expect("it may not begin");
        assert!(!ordinary.hold.begins());
        drop(apart);
        assert!(ordinary.hold.begins());
        settled(Duration::ZERO).await.expect_err("it is young");
        settled(LONG).await.expect("it has run for the probation");
        drop(ordinary);

        let suspect = held(&running, Sort::Suspects, stored()).await;
        settled(PROBATION * 3).await.expect_err("it has not begun");
        let (ended, ()) = tokio::join!(settled(LONG), async {
            let _apart = running.set_suspects_apart();
            assert!(suspect.hold.begins());
        });
        ended.expect("it has run for the probation");
        drop(suspect);

        assert_eq!(running.suspects_begun(), 1);
        let _there = held(&running, Sort::Suspects, "{}".into()).await;
        settled(Duration::ZERO).await.expect_err("it is young");
        settled(LONG).await.expect("it has run for the probation");
        assert_eq!(running.suspects_begun(), 2);
    }
}
