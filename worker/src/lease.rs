//! The lease under which this process runs jobs, and what keeps it.
//!
//! A process whose renewals fail must have stopped its handlers before the database may give its
//! jobs to another. It counts from the last renewal that it *sent*, on its own monotonic clock.

use std::{sync::Arc, time::Duration};

use coatcheck_shared::{
    clock::SynchronisedClock,
    job::LeaseId,
    store::{Store, StoreError},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{pause::Pause, running::Running};

/// The right to run jobs, for as long as it is not lost.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// Its identity, and a part of the fencing token.
    pub(crate) id: LeaseId,
    /// Fires when it can no longer be relied on. It never comes back.
    pub(crate) lost: CancellationToken,
}

/// How a lease is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTerms {
    /// How long it lasts without being renewed.
    pub(crate) duration: Duration,
}

impl LeaseTerms {
    /// How long before its end the lease counts as lost, so that handlers are stopped in time.
    pub(crate) fn margin(&self) -> Duration {
        (self.duration / 10).max(Duration::from_millis(200))
    }

    fn renewal_period(&self) -> Duration {
        self.duration / 3
    }

    fn pause_after_failure(&self) -> Duration {
        (self.duration / 20).clamp(Duration::from_millis(50), Duration::from_millis(500))
    }
}

/// Opens a lease, renews it, and opens another when it is lost.
pub(crate) struct LeaseKeeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: SynchronisedClock,
    pub(crate) worker: String,
    pub(crate) terms: LeaseTerms,
    pub(crate) running: Arc<Running>,
    pub(crate) current: watch::Sender<Option<Lease>>,
    /// Fires when nothing runs any more and the lease can be closed.
    pub(crate) finished: CancellationToken,
}

impl LeaseKeeper {
    pub(crate) async fn run(self) {
        while let Some((lease, sent_at)) = self.open().await {
            self.current.send_replace(Some(lease.clone()));
            let lost = self.keep(&lease, sent_at).await;
            self.current.send_replace(None);
            if !lost {
                self.close(&lease).await;
                return;
            }
            lease.lost.cancel();
            metrics::counter!("coatcheck_lease_losses_total").increment(1);
            tracing::error!(
                lease = %lease.id,
                "the lease is lost: its jobs are stopped, and another lease is opened"
            );
        }
    }

    /// A new lease and when it was asked for; none where the worker has finished before.
    async fn open(&self) -> Option<(Lease, Instant)> {
        let mut pause = Pause::between(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let id = LeaseId::generate(&self.clock);
            let sent_at = Instant::now();
            let opened = self.store.open_lease(id, &self.worker, self.terms.duration);
            match opened.await {
                Ok(()) => {
                    let lost = CancellationToken::new();
                    return Some((Lease { id, lost }, sent_at));
                }
                Err(error) => tracing::warn!(%error, "no lease could be opened"),
            }
            tokio::select! {
                () = self.finished.cancelled() => return None,
                () = sleep(pause.next()) => {}
            }
        }
    }

    /// Renews a lease until it is lost (true) or no longer needed (false).
    async fn keep(&self, lease: &Lease, mut sent_at: Instant) -> bool {
        let mut next = sent_at + self.terms.renewal_period();
        loop {
            let end = sent_at + self.terms.duration - self.terms.margin();
            tokio::select! {
                () = self.finished.cancelled() => return false,
                () = sleep_until(next.min(end)) => {}
            }
            let asked_at = Instant::now();
            if asked_at >= end {
                return true;
            }
            match self.renew(lease, end).await {
                Some(Ok(true)) => {
                    sent_at = asked_at;
                    next = sent_at + self.terms.renewal_period();
                    self.look_for_cancel_requests(lease).await;
                }
                Some(Ok(false)) => return true,
                Some(Err(error)) => {
                    tracing::warn!(%error, "the lease could not be renewed");
                    next = Instant::now() + self.terms.pause_after_failure();
                }
                None => {
                    tracing::warn!("the lease could not be renewed: no answer in time");
                    next = Instant::now();
                }
            }
        }
    }

    /// What the store says; none where it says nothing in time.
    async fn renew(&self, lease: &Lease, end: Instant) -> Option<Result<bool, StoreError>> {
        let asked = self.store.renew_lease(lease.id, self.terms.duration);
        timeout_at(end, asked).await.ok()
    }

    /// Finds what a lost signal did not tell.
    async fn look_for_cancel_requests(&self, lease: &Lease) {
        let asked = self.store.cancel_requests(lease.id);
        match timeout(self.terms.margin(), asked).await {
            Ok(Ok(jobs)) => self.running.cancel(&jobs),
            Ok(Err(error)) => tracing::debug!(%error, "cancel requests could not be read"),
            Err(_) => tracing::debug!("cancel requests could not be read in time"),
        }
    }

    async fn close(&self, lease: &Lease) {
        if let Err(error) = self.store.close_lease(lease.id).await {
            tracing::warn!(%error, lease = %lease.id, "the lease is not closed but runs out");
        }
    }
}
