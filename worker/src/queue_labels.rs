//! Clients name queues, so not every queue can have series of its own.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use coatcheck_shared::{job::QueueName, metric_catalogue::OTHER};
use metrics::Histogram;

/// How many queues have a label; the first ones that this process runs jobs of.
const MOST_LABELS: usize = 100;

/// How long jobs waited, by queue.
#[derive(Default)]
pub(crate) struct QueueLabels(RwLock<HashMap<QueueName, Histogram>>);

impl QueueLabels {
    pub(crate) fn record_wait(&self, queue: &QueueName, waited: Duration) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let histogram = known.get(queue).cloned();
        drop(known);
        histogram
            .unwrap_or_else(|| self.admit(queue))
            .record(waited);
    }

    fn admit(&self, queue: &QueueName) -> Histogram {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_LABELS && !known.contains_key(queue) {
            return of(OTHER);
        }
        known
            .entry(queue.clone())
            .or_insert_with(|| of(queue.as_str()))
            .clone()
    }
}

fn of(label: &str) -> Histogram {
    metrics::histogram!("coatcheck_job_wait_seconds", "queue" => label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_first_hundred_shares_a_label() {
        let labels = QueueLabels::default();
        for number in 0..MOST_LABELS * 2 {
            let queue = format!("queue-{number}").parse().unwrap();
            labels.record_wait(&queue, Duration::ZERO);
        }
        assert_eq!(labels.0.read().unwrap().len(), MOST_LABELS);
    }
}
