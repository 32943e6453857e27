//! How much waits in which queue, and that no queue takes more than it may.

use std::{sync::Arc, time::Duration};

use coatcheck_shared::{
    backend::Backend,
    job::{Priority, QueueName},
    queue::{Lane, Queue, QueueError},
    store::Store,
};

use crate::{
    estimates::{Estimates, Found},
    problem::{Problem, ProblemType},
    retry_after,
};

/// How long a look at the store counts, which the database pays for.
const REFRESH_STORE_EVERY: Duration = Duration::from_secs(10);

/// The depths of all queues.
pub(crate) struct Depths(Estimates<QueueName>);

/// Where depths are looked up.
#[derive(Clone)]
struct Sources {
    queue: Arc<dyn Queue>,
    store: Arc<dyn Store>,
    most: u64,
}

impl Depths {
    /// Queues in which this many may wait.
    pub(crate) fn new(backend: &Backend, most: u32) -> Self {
        let most = u64::from(most);
        let sources = Sources {
            queue: backend.queue.clone(),
            store: backend.store.clone(),
            most,
        };
        Self(Estimates::new(most, move |queue| {
            let sources = sources.clone();
            async move { sources.waiting(&queue).await }
        }))
    }

    /// Makes room for new jobs in a queue.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) async fn admit(&self, queue: &QueueName, jobs: u64) -> Result<(), Problem> {
        let admitted = self.0.admit(queue, jobs).await;
        admitted.map(|_| ()).map_err(|waiting| full(queue, waiting))
    }

    /// About how many jobs wait in a queue.
    pub(crate) fn waiting(&self, queue: &QueueName) -> u64 {
        self.0.about(queue)
    }
}

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

fn full(queue: &QueueName, waiting: u64) -> Problem {
    Problem::new(
        ProblemType::QueueFull,
        format!("Too many jobs wait in the queue {queue}. Nothing was stored."),
    )
    .retry_after(retry_after::for_waiting(waiting))
}
