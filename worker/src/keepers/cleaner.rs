//! Forgets what has been kept for long enough.

use std::time::Duration;

use coatcheck_shared::{backend::Backend, clock::Clock, store::StoreError};
use tokio::time::{Instant, sleep};

use super::{BATCH, Keeper};

/// A finished job is gone within a minute of its retention's end, also where batches take long.
const SWEEP: Duration = Duration::from_secs(5);
const LEASES_PERIOD: Duration = Duration::from_secs(60);
/// Between full batches, so that deleting a million rows leaves room for work.
const BREATH: Duration = Duration::from_millis(20);

pub(super) struct Cleaner {
    backend: Backend,
    leases_next_at: Instant,
}

impl Cleaner {
    pub(super) fn new(backend: Backend) -> Self {
        Self {
            backend,
            leases_next_at: Instant::now() + LEASES_PERIOD,
        }
    }

    async fn delete_expired_jobs(&self) -> Result<(), StoreError> {
        loop {
            let now = self.backend.clock.now();
            let deleted = self.backend.store.delete_expired(now, BATCH).await?;
            metrics::counter!("coatcheck_jobs_expired_total").increment(deleted);
            if deleted < u64::from(BATCH) {
                return Ok(());
            }
            sleep(BREATH).await;
        }
    }

    async fn delete_expired_keys(&self) -> Result<(), StoreError> {
        let store = &self.backend.store;
        // The limit is for each of the two sorts of keys, so fewer means that both are done.
        while store
            .delete_expired_keys(self.backend.clock.now(), BATCH)
            .await?
            >= u64::from(BATCH)
        {
            sleep(BREATH).await;
        }
        Ok(())
    }
}

impl Keeper for Cleaner {
    const NAME: &'static str = "cleaner";

    async fn sweep(&mut self) -> Result<Duration, StoreError> {
        self.delete_expired_jobs().await?;
        self.delete_expired_keys().await?;
        if Instant::now() >= self.leases_next_at {
            self.backend.store.delete_ended_leases().await?;
            self.leases_next_at = Instant::now() + LEASES_PERIOD;
        }
        Ok(SWEEP)
    }
}
