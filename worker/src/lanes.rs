//! Which lanes a worker serves, and in which order.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use coatcheck_shared::{
    job::{Priority, QueueName},
    queue::Lane,
    store::Store,
};
use tokio::{sync::Notify, time::timeout};

const REFRESH_PERIOD: Duration = Duration::from_secs(1);

/// The queues that a worker serves.
pub(crate) struct Lanes {
    queues: RwLock<Vec<QueueName>>,
    turn: AtomicUsize,
    /// Wakes whoever keeps them up to date.
    pub(crate) queue_created: Notify,
}

impl Lanes {
    /// Those that the settings name; where they name none, the one that every submission without
    /// a queue goes to, until the store has told the rest.
    pub(crate) fn new(settled: &[QueueName]) -> Self {
        let queues = if settled.is_empty() {
            vec![QueueName::default()]
        } else {
            settled.to_vec()
        };
        Self {
            queues: RwLock::new(queues),
            turn: AtomicUsize::new(0),
            queue_created: Notify::new(),
        }
    }

    /// The queues.
    pub(crate) fn queues(&self) -> Vec<QueueName> {
        self.queues
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Every lane, the most urgent first. Each call begins with another queue, so that a full
    /// one does not keep the worker from the others.
    pub(crate) fn in_order(&self) -> Vec<Lane> {
        let mut queues = self.queues();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % queues.len().max(1);
        queues.rotate_left(turn);
        Priority::ALL
            .into_iter()
            .flat_map(|priority| {
                queues.iter().map(move |queue| Lane {
                    queue: queue.clone(),
                    priority,
                })
            })
            .collect()
    }

    /// Keeps the queues up to date, for a worker that serves all of them.
    pub(crate) async fn follow(self: Arc<Self>, store: Arc<dyn Store>) {
        loop {
            match store.queues().await {
                Ok(known) => self.replace(known),
                Err(error) => tracing::debug!(%error, "the queues could not be read"),
            }
            // Either way it is time to look again.
            let _ = timeout(REFRESH_PERIOD, self.queue_created.notified()).await;
        }
    }

    fn replace(&self, known: Vec<QueueName>) {
        let mut queues: BTreeSet<QueueName> = known.into_iter().collect();
        queues.insert(QueueName::default());
        *self.queues.write().unwrap_or_else(PoisonError::into_inner) = queues.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_lanes_of_all_queues_come_first_and_queues_take_turns() {
        let name = |text: &str| text.parse::<QueueName>().unwrap();
        let lanes = Lanes::new(&[name("a"), name("b")]);
        let order = |lanes: &Lanes| -> Vec<String> {
            lanes
                .in_order()
                .iter()
                .map(|lane| format!("{}:{}", lane.queue, lane.priority.as_str()))
                .collect()
        };
        assert_eq!(
            order(&lanes),
            ["a:high", "b:high", "a:normal", "b:normal", "a:low", "b:low"]
        );
        assert_eq!(order(&lanes)[..2], ["b:high", "a:high"]);
    }

    #[test]
    fn the_default_queue_is_served_before_it_is_known() {
        let lanes = Lanes::new(&[]);
        lanes.replace(vec!["mail".parse().unwrap()]);
        assert_eq!(
            lanes.queues(),
            ["default".parse().unwrap(), "mail".parse().unwrap()]
        );
    }
}
