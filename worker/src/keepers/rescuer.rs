//! Takes jobs back from workers that have died, and ends those that are out of time.

use std::time::Duration;

use coatcheck_shared::{backend::Backend, clock::Clock, store::StoreError};

use super::{BATCH, Keeper};
use crate::announcer::announce;

pub(super) struct Rescuer {
    pub(super) backend: Backend,
    pub(super) period: Duration,
}

impl Keeper for Rescuer {
    const NAME: &'static str = "rescuer";

    async fn sweep(&mut self) -> Result<Duration, StoreError> {
        self.rescue().await?;
        self.fail_overdue().await?;
        Ok(self.period)
    }
}

impl Rescuer {
    async fn rescue(&self) -> Result<(), StoreError> {
        loop {
            let now = self.backend.clock.now();
            let rescued = self.backend.store.rescue(now, BATCH).await?;
            let (requeued, ended) = (rescued.requeued.len(), rescued.ended.len());
            if requeued + ended > 0 {
                tracing::warn!(requeued, ended, "jobs of dead workers were taken back");
            }
            metrics::counter!("coatcheck_crashes_total").increment((requeued + ended) as u64);
            metrics::counter!("coatcheck_rescued_total").increment(requeued as u64);
            metrics::counter!("coatcheck_rescued_ended_total").increment(ended as u64);
            // Those that wait again are suspects now: workers look for them in the store.
            announce(&*self.backend.signals, rescued.ended).await;
            if requeued + ended < BATCH as usize {
                return Ok(());
            }
        }
    }

    async fn fail_overdue(&self) -> Result<(), StoreError> {
        loop {
            let now = self.backend.clock.now();
            let failed = self.backend.store.fail_overdue(now, BATCH).await?;
            let count = failed.len();
            metrics::counter!("coatcheck_overdue_failed_total").increment(count as u64);
            announce(&*self.backend.signals, failed).await;
            if count < BATCH as usize {
                return Ok(());
            }
        }
    }
}
