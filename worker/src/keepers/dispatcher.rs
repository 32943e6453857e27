//! Makes jobs ready whose time has come, and pushes hints again that were lost.

use std::time::Duration;

use coatcheck_shared::{
    backend::Backend,
    clock::Clock,
    job::JobId,
    queue::{End, Hint, Lane},
    store::StoreError,
    timestamp::Timestamp,
};

use super::{BATCH, Keeper, push_ready};

/// How many lost hints of a lane are pushed again at once.
const LOST_HINTS: u32 = 1_000;

pub(super) struct Dispatcher {
    pub(super) backend: Backend,
    pub(super) period: Duration,
    pub(super) hint_grace: Duration,
}

impl Keeper for Dispatcher {
    const NAME: &'static str = "dispatcher";

    async fn sweep(&mut self) -> Result<Duration, StoreError> {
        self.enqueue_due().await?;
        let mut more_is_waiting = false;
        for lane in self.backend.store.lanes().await? {
            match self.repush_lost(&lane).await? {
                Repushed::QueueIsAway => return Ok(self.period),
                Repushed::Count(count) => more_is_waiting |= count >= LOST_HINTS as usize,
            }
        }
        // Once workers have got through what was pushed, the next of them show as lost.
        Ok(if more_is_waiting {
            self.period / 20
        } else {
            self.period
        })
    }
}

impl Dispatcher {
    async fn enqueue_due(&self) -> Result<(), StoreError> {
        loop {
            let now = self.backend.clock.now();
            let due = self.backend.store.enqueue_due(now, BATCH).await?;
            metrics::counter!("coatcheck_jobs_due_total").increment(due.len() as u64);
            push_ready(&self.backend, &due).await;
            if due.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    /// A lane is first in, first out: so a job that has been queued for longer than the oldest
    /// hint in it, and for longer than a hint may be under way, has no hint any more.
    async fn repush_lost(&self, lane: &Lane) -> Result<Repushed, StoreError> {
        let Ok(oldest) = self.backend.queue.oldest(lane).await else {
            // Workers claim from the store until it is back.
            return Ok(Repushed::QueueIsAway);
        };
        let grace_ago = self.backend.clock.now().before(self.hint_grace);
        let before = match oldest {
            None => grace_ago,
            Some(id) => self.queued_since(id).await?.min(grace_ago),
        };
        let store = &self.backend.store;
        let lost = store.queued_before(lane, before, LOST_HINTS).await?;
        let hints: Vec<Hint> = lost
            .into_iter()
            .map(|id| Hint {
                id,
                lane: lane.clone(),
            })
            .collect();
        if hints.is_empty() {
            return Ok(Repushed::Count(0));
        }
        if self.backend.queue.push(&hints, End::Front).await.is_err() {
            return Ok(Repushed::QueueIsAway);
        }
        metrics::counter!("coatcheck_hints_repushed_total").increment(hints.len() as u64);
        tracing::info!(queue = %lane.queue, count = hints.len(), "lost hints are pushed again");
        Ok(Repushed::Count(hints.len()))
    }

    /// Since when the job of a hint has waited; where it is gone, when it was submitted.
    async fn queued_since(&self, id: JobId) -> Result<Timestamp, StoreError> {
        let queued_at = self.backend.store.queued_at(id).await?;
        Ok(queued_at
            .or_else(|| id.submitted_at())
            .unwrap_or(Timestamp::from_microseconds(0)))
    }
}

enum Repushed {
    Count(usize),
    QueueIsAway,
}
