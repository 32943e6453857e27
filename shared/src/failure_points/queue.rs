//! A queue that fails where it is told to.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Call, FailurePoints};
use crate::{
    job::JobId,
    queue::{End, Hint, Lane, Queue, QueueError},
};

const PUSH: Call = call!("queue.push");
const POP: Call = call!("queue.pop");
const OLDEST: Call = call!("queue.oldest");
const DEPTH: Call = call!("queue.depth");
const PING: Call = call!("queue.ping");

pub(super) const CALLS: &[Call] = &[PUSH, POP, OLDEST, DEPTH, PING];

/// See [`around_queue`](super::around_queue).
pub(super) struct FailingQueue {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) points: Arc<FailurePoints>,
}

#[async_trait]
impl Queue for FailingQueue {
    async fn push(&self, hints: &[Hint], end: End) -> Result<(), QueueError> {
        self.points.around(PUSH, self.queue.push(hints, end)).await
    }

    /// The point after it is passed by those pops alone that took something: a worker without
    /// work asks again and again.
    async fn pop(
        &self,
        lanes: &[Lane],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<JobId>, QueueError> {
        self.points.pass(POP.before).await?;
        let ids = self.queue.pop(lanes, limit, wait).await?;
        if !ids.is_empty() {
            self.points.pass(POP.after).await?;
        }
        Ok(ids)
    }

    async fn oldest(&self, lane: &Lane) -> Result<Option<JobId>, QueueError> {
        self.points.around(OLDEST, self.queue.oldest(lane)).await
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        self.points.around(DEPTH, self.queue.depth(lane)).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.points.around(PING, self.queue.ping()).await
    }
}
