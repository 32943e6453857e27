//! The queue being away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use coatcheck_shared::{
    job::{JobId, State},
    queue::{End, Hint, Lane, Queue, QueueError},
};

use super::{
    bed::{Bed, until},
    script::{Record, Script},
};

/// A queue that can be away.
struct Flaky {
    inner: Arc<dyn Queue>,
    is_away: AtomicBool,
}

impl Flaky {
    fn check(&self) -> Result<(), QueueError> {
        if self.is_away.load(Ordering::Relaxed) {
            Err(QueueError::Unavailable("away".to_owned()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Queue for Flaky {
    async fn push(&self, hints: &[Hint], end: End) -> Result<(), QueueError> {
        self.check()?;
        self.inner.push(hints, end).await
    }

    async fn pop(
        &self,
        lanes: &[Lane],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<JobId>, QueueError> {
        self.check()?;
        self.inner.pop(lanes, limit, wait).await
    }

    async fn oldest(&self, lane: &Lane) -> Result<Option<JobId>, QueueError> {
        self.check()?;
        self.inner.oldest(lane).await
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        self.check()?;
        self.inner.depth(lane).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.check()
    }
}

#[tokio::test]
async fn without_the_queue_jobs_are_claimed_from_the_store_and_with_it_again_from_there() {
    let (mut bed, record) = (Bed::new("").await, Record::default());
    let queue = Arc::new(Flaky {
        inner: bed.backend.queue.clone(),
        is_away: AtomicBool::new(true),
    });
    bed.backend.queue = queue.clone();
    let worker = bed.start(record.registry());
    let jobs = (0..700).map(|_| bed.job(&Script::Succeed)).collect();
    for id in bed.store(jobs).await {
        assert_eq!(bed.finished(id).await.lifecycle.state, State::Succeeded);
    }
    assert!(worker.status.is_degraded());
    queue.is_away.store(false, Ordering::Relaxed);
    until("the queue to be used", || !worker.status.is_degraded()).await;
    let id = bed.run(Script::Succeed).await;
    bed.finished(id).await;
    assert!(
        record
            .executions()
            .values()
            .all(|attempts| *attempts == [1])
    );
    worker.end().await.unwrap();
}
