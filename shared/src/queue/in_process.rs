//! The queue of the embedded mode: everything in one process, nothing kept.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{End, Hint, Lane, Queue, QueueError};
use crate::job::JobId;

/// How many hints are held at most unless it is said: 16 bytes each.
pub const MOST_HINTS: usize = 2_000_000;

/// What stands in for "for ever" where a wait is too long for the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A queue in this process's memory.
///
/// Full, it drops what is pushed and counts it (`coatcheck_hints_dropped_total`): the dispatcher
/// finds those jobs again once there is room.
#[derive(Debug)]
pub struct InProcessQueue {
    held: Mutex<Held>,
    pushed: Notify,
    most: usize,
}

/// All lanes that are not empty: names come from clients, so an empty lane must not stay.
#[derive(Debug, Default)]
struct Held {
    lanes: HashMap<Lane, VecDeque<JobId>>,
    count: usize,
}

impl Default for InProcessQueue {
    fn default() -> Self {
        Self::holding(MOST_HINTS)
    }
}

impl InProcessQueue {
    /// An empty queue that holds at most this many hints.
    pub fn holding(most: usize) -> Self {
        Self {
            held: Mutex::default(),
            pushed: Notify::new(),
            most,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing that can panic is done under the lock, and hints may be lost anyway.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, lanes: &[Lane], limit: usize) -> Vec<JobId> {
        let mut held = self.held();
        lanes
            .iter()
            .map(|lane| held.take(lane, limit))
            .find(|ids| !ids.is_empty())
            .unwrap_or_default()
    }
}

impl Held {
    fn push_back(&mut self, run: &[Hint]) {
        let lane = self.lane(&run[0].lane);
        lane.extend(run.iter().map(|hint| hint.id));
        self.count += run.len();
    }

    fn push_front(&mut self, run: &[Hint]) {
        let lane = self.lane(&run[0].lane);
        for hint in run.iter().rev() {
            lane.push_front(hint.id);
        }
        self.count += run.len();
    }

    fn lane(&mut self, lane: &Lane) -> &mut VecDeque<JobId> {
        // The name is cheap to clone: a count of references.
        self.lanes.entry(lane.clone()).or_default()
    }

    fn take(&mut self, lane: &Lane, limit: usize) -> Vec<JobId> {
        let Some(ids) = self.lanes.get_mut(lane) else {
            return Vec::new();
        };
        let taken: Vec<JobId> = ids.drain(..limit.min(ids.len())).collect();
        if ids.is_empty() {
            self.lanes.remove(lane);
        }
        self.count -= taken.len();
        taken
    }
}

#[async_trait]
impl Queue for InProcessQueue {
    async fn push(&self, hints: &[Hint], end: End) -> Result<(), QueueError> {
        let dropped = {
            let mut held = self.held();
            let room = self.most.saturating_sub(held.count);
            let (kept, dropped) = hints.split_at(room.min(hints.len()));
            let runs = kept.chunk_by(|one, next| one.lane == next.lane);
            match end {
                End::Back => runs.for_each(|run| held.push_back(run)),
                End::Front => runs.rev().for_each(|run| held.push_front(run)),
            }
            dropped.len()
        };
        if dropped > 0 {
            metrics::counter!("coatcheck_hints_dropped_total").increment(dropped as u64);
        }
        // All of them: whoever is woken may be waiting for other lanes.
        self.pushed.notify_waiters();
        Ok(())
    }

    async fn pop(
        &self,
        lanes: &[Lane],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<JobId>, QueueError> {
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            // Made before the look, so that a push between the look and the wait is noticed.
            let pushed = self.pushed.notified();
            let taken = self.take(lanes, limit);
            if !taken.is_empty() || timeout_at(until, pushed).await.is_err() {
                return Ok(taken);
            }
        }
    }

    async fn oldest(&self, lane: &Lane) -> Result<Option<JobId>, QueueError> {
        Ok(self
            .held()
            .lanes
            .get(lane)
            .and_then(|ids| ids.front().copied()))
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        Ok(self.held().lanes.get(lane).map_or(0, VecDeque::len) as u64)
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
