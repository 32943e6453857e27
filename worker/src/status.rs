//! How a worker is, for whoever asks from outside.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;

use crate::running::Running;

/// Whether a worker takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It has no lease, so it may not: it has just started, or the database is away.
    WithoutLease,
    /// It was told to end.
    ShuttingDown,
}

/// A cheap handle on how a worker is.
#[derive(Clone)]
pub struct WorkerStatus {
    leased: Arc<AtomicBool>,
    queue_is_away: Arc<AtomicBool>,
    draining: CancellationToken,
    running: Arc<Running>,
    slots: usize,
}

impl WorkerStatus {
    pub(crate) fn new(running: Arc<Running>, draining: CancellationToken, slots: usize) -> Self {
        Self {
            leased: Arc::default(),
            queue_is_away: Arc::default(),
            draining,
            running,
            slots,
        }
    }

    /// Whether it takes jobs, and why not.
    pub fn readiness(&self) -> Readiness {
        if self.draining.is_cancelled() {
            Readiness::ShuttingDown
        } else if self.leased.load(Ordering::Relaxed) {
            Readiness::Ready
        } else {
            Readiness::WithoutLease
        }
    }

    /// Whether it claims straight from the store, the queue being away.
    pub fn is_degraded(&self) -> bool {
        self.queue_is_away.load(Ordering::Relaxed)
    }

    /// How many jobs it holds now.
    pub fn running(&self) -> usize {
        self.running.count()
    }

    /// How many jobs it can hold.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Tells the metrics how many jobs it can hold, and that it holds none yet.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a number of jobs in one process"
    )]
    pub(crate) fn record_slots(&self) {
        metrics::gauge!("coatcheck_worker_slots").set(self.slots as f64);
        metrics::gauge!("coatcheck_jobs_running").set(self.running() as f64);
    }

    pub(crate) fn set_leased(&self, leased: bool) {
        self.leased.store(leased, Ordering::Relaxed);
    }

    pub(crate) fn set_queue_is_away(&self, away: bool) {
        self.queue_is_away.store(away, Ordering::Relaxed);
    }
}
