//! How much waits in which queue, as far as this process knows: looked up every second at most and
//! counted on in between, so that no submission asks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use coatcheck_shared::{
    backend::Backend,
    job::{Priority, QueueName},
    queue::{Lane, Queue, QueueError},
    store::Store,
};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    problem::{Problem, ProblemType},
    retry_after,
};

/// How old the last look may be while there is room.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How old it may be where it stands against a submission.
const REFRESH_FULL: Duration = Duration::from_millis(100);

/// How long a look at the store counts, which the database pays for.
const REFRESH_STORE_EVERY: Duration = Duration::from_secs(10);

/// How long a submission waits for a look; it goes on running.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many queues are followed.
const MOST_QUEUES: usize = 10_000;

/// The depths of all queues.
pub(crate) struct Depths {
    sources: Sources,
    most: u64,
    queues: Mutex<HashMap<QueueName, Arc<Depth>>>,
}

/// Where depths are looked up.
#[derive(Clone)]
struct Sources {
    queue: Arc<dyn Queue>,
    store: Arc<dyn Store>,
    most: u64,
}

/// The depth of one queue.
#[derive(Default)]
struct Depth(Mutex<Estimate>);

#[derive(Default)]
struct Estimate {
    /// What the last look found.
    found: u64,
    /// What was let in since it began.
    added: u64,
    looked_at: Option<Instant>,
    /// Not to be looked up again before then, however full it seems.
    holds_until: Option<Instant>,
    is_looking: bool,
}

impl Depths {
    /// Queues in which this many may wait.
    pub(crate) fn new(backend: &Backend, most: u32) -> Self {
        let most = u64::from(most);
        Self {
            sources: Sources {
                queue: backend.queue.clone(),
                store: backend.store.clone(),
                most,
            },
            most,
            queues: Mutex::default(),
        }
    }

    /// Makes room for new jobs in a queue.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) async fn admit(&self, queue: &QueueName, jobs: u64) -> Result<(), Problem> {
        let depth = self.of(queue);
        let is_first = depth.lock().looked_at.is_none();
        let look = self.look(queue, &depth, REFRESH_EVERY);
        if is_first {
            await_look(look).await;
        }
        if depth.add(jobs, self.most) {
            return Ok(());
        }
        await_look(self.look(queue, &depth, REFRESH_FULL)).await;
        if depth.add(jobs, self.most) {
            return Ok(());
        }
        Err(full(queue, depth.lock().waiting()))
    }

    /// About how many jobs wait in a queue.
    pub(crate) fn waiting(&self, queue: &QueueName) -> u64 {
        let depth = self.of(queue);
        self.look(queue, &depth, REFRESH_EVERY);
        depth.lock().waiting()
    }

    fn of(&self, queue: &QueueName) -> Arc<Depth> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(depth) = queues.get(queue) {
            return depth.clone();
        }
        if queues.len() >= MOST_QUEUES {
            queues.clear();
        }
        queues.entry(queue.clone()).or_default().clone()
    }

    /// Looks the depth up where the last look is older than that and nobody else is looking.
    fn look(
        &self,
        queue: &QueueName,
        depth: &Arc<Depth>,
        oldest: Duration,
    ) -> Option<JoinHandle<()>> {
        let counted = depth.lock().begin_look(oldest)?;
        let (sources, queue, depth) = (self.sources.clone(), queue.clone(), depth.clone());
        Some(tokio::spawn(async move {
            let found = sources.waiting(&queue).await;
            depth.lock().end_look(found, counted);
        }))
    }
}

/// What a look found, and for how long it holds in any case.
type Found = Option<(u64, Duration)>;

impl Sources {
    /// What the queue says, else the store; none where neither answers.
    async fn waiting(&self, queue: &QueueName) -> Found {
        match self.hints(queue).await {
            Ok(hints) => Some((hints, Duration::ZERO)),
            Err(error) => {
                tracing::debug!(%error, %queue, "the depth is counted in the store");
                let waiting = self.store.count_waiting(queue, self.most).await.ok()?;
                Some((waiting, REFRESH_STORE_EVERY))
            }
        }
    }

    async fn hints(&self, queue: &QueueName) -> Result<u64, QueueError> {
        let mut hints = 0;
        for priority in Priority::ALL {
            let lane = Lane {
                queue: queue.clone(),
                priority,
            };
            hints += self.queue.depth(&lane).await?;
        }
        Ok(hints)
    }
}

impl Depth {
    fn lock(&self) -> MutexGuard<'_, Estimate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts jobs in, where they fit.
    fn add(&self, jobs: u64, most: u64) -> bool {
        let mut estimate = self.lock();
        let fits = estimate.waiting() + jobs <= most;
        if fits {
            estimate.added += jobs;
        }
        fits
    }
}

impl Estimate {
    fn waiting(&self) -> u64 {
        self.found + self.added
    }

    /// What had been let in when the look began; none where there is to be none.
    fn begin_look(&mut self, oldest: Duration) -> Option<u64> {
        let is_fresh = self.looked_at.is_some_and(|at| at.elapsed() < oldest);
        let holds = self.holds_until.is_some_and(|until| Instant::now() < until);
        if self.is_looking || is_fresh || holds {
            return None;
        }
        self.is_looking = true;
        Some(self.added)
    }

    /// What was let in before the look is in what it found.
    fn end_look(&mut self, found: Found, counted: u64) {
        self.is_looking = false;
        self.looked_at = Some(Instant::now());
        self.holds_until = None;
        if let Some((found, holds)) = found {
            self.found = found;
            self.added = self.added.saturating_sub(counted);
            self.holds_until = Some(Instant::now() + holds);
        }
    }
}

async fn await_look(look: Option<JoinHandle<()>>) {
    if let Some(look) = look {
        // Late or lost: what is known already has to do.
        let _ = timeout(PATIENCE, look).await;
    }
}

fn full(queue: &QueueName, waiting: u64) -> Problem {
    Problem::new(
        ProblemType::QueueFull,
        format!("Too many jobs wait in the queue {queue}. Nothing was stored."),
    )
    .retry_after(retry_after::for_waiting(waiting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_during_a_look_is_counted_on_top_of_what_it_found() {
        let depth = Depth::default();
        assert!(depth.add(3, 5));
        let counted = depth.lock().begin_look(REFRESH_EVERY).unwrap();
        assert_eq!(
            depth.lock().begin_look(REFRESH_EVERY),
            None,
            "one at a time"
        );
        assert!(depth.add(2, 5));
        assert!(!depth.add(1, 5));
        depth.lock().end_look(Some((1, Duration::ZERO)), counted);
        assert_eq!(depth.lock().waiting(), 3);
        assert_eq!(depth.lock().begin_look(REFRESH_EVERY), None, "it is fresh");
        assert!(depth.lock().begin_look(Duration::ZERO).is_some());
    }

    #[test]
    fn a_look_that_fails_changes_nothing_and_one_at_the_store_holds_for_long() {
        let depth = Depth::default();
        assert!(depth.add(3, 5));
        let counted = depth.lock().begin_look(REFRESH_EVERY).unwrap();
        depth.lock().end_look(None, counted);
        assert_eq!(depth.lock().waiting(), 3);
        let counted = depth.lock().begin_look(Duration::ZERO).unwrap();
        depth
            .lock()
            .end_look(Some((4, REFRESH_STORE_EVERY)), counted);
        assert_eq!(depth.lock().waiting(), 4);
        assert_eq!(depth.lock().begin_look(Duration::ZERO), None);
    }
}
