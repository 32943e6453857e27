use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::FutureExt;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::*;
use crate::{
    job::Priority,
    queue::conformance::{hints, ids, lane, queue_conforms},
};

async fn start() -> (Arc<dyn Queue>, ()) {
    (Arc::new(InProcessQueue::default()), ())
}

queue_conforms!(start);

#[tokio::test]
async fn a_full_queue_drops_what_does_not_fit_and_takes_more_later() {
    let queue = InProcessQueue::holding(5);
    let lanes = [lane("a", Priority::High), lane("b", Priority::High)];
    let (first, second) = (hints(&lanes[0], 3), hints(&lanes[1], 3));
    queue.push(&first, End::Back).await.unwrap();
    queue.push(&second, End::Front).await.unwrap();
    assert_eq!(queue.depth(&lanes[1]).await.unwrap(), 2);
    queue.push(&first, End::Back).await.unwrap();
    assert_eq!(queue.depth(&lanes[0]).await.unwrap(), 3);

    let popped = queue.pop(&lanes, 10, Duration::ZERO).await.unwrap();
    assert_eq!(popped, ids(&first));
    queue.push(&second[2..], End::Back).await.unwrap();
    let popped = queue.pop(&lanes, 10, Duration::ZERO).await.unwrap();
    assert_eq!(popped, ids(&second));
}

#[tokio::test]
async fn what_is_dropped_is_counted() {
    let counted = Counted::default();
    let _recording = metrics::set_default_local_recorder(&counted);
    let queue = InProcessQueue::holding(5);
    let pushed = hints(&lane("a", Priority::High), 7);
    queue.push(&pushed, End::Back).await.unwrap();
    queue.push(&pushed, End::Front).await.unwrap();
    assert_eq!(counted.dropped.load(Ordering::Relaxed), 9);
}

/// Records the one counter.
#[derive(Default)]
struct Counted {
    dropped: Arc<AtomicU64>,
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        assert_eq!(key.name(), "coatcheck_hints_dropped_total");
        Counter::from_arc(self.dropped.clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn an_empty_lane_costs_nothing() {
    let queue = InProcessQueue::default();
    for number in 0..100 {
        let lane = lane(&format!("queue-{number}"), Priority::Low);
        queue.push(&hints(&lane, 2), End::Back).await.unwrap();
        queue.pop(&[lane], 2, Duration::ZERO).await.unwrap();
    }
    let held = queue.held();
    assert!(held.lanes.is_empty());
    assert_eq!(held.count, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endless_wait_is_no_overflow() {
    let queue = InProcessQueue::default();
    let popped = queue.pop(&[], 1, Duration::MAX).await.unwrap();
    assert!(popped.is_empty());
}

/// The other side answers after pauses of many lengths, to hit the moment between a look and the
/// wait that follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wakeup_is_lost() {
    const ROUNDS: u32 = 100_000;
    let queue = Arc::new(InProcessQueue::default());
    let [there, back] = ["there", "back"].map(|name| lane(name, Priority::Normal));
    let answering = std::thread::spawn({
        let (queue, lanes, answer) = (queue.clone(), [there.clone()], hints(&back, 1));
        move || {
            for round in 0..ROUNDS {
                while queue.take(&lanes, 1).is_empty() {
                    std::thread::yield_now();
                }
                for _ in 0..round % 200 {
                    std::hint::spin_loop();
                }
                push_now(&queue, &answer);
            }
        }
    });
    let (question, lanes) = (hints(&there, 1), [back]);
    for _ in 0..ROUNDS {
        push_now(&queue, &question);
        let wait = Duration::from_secs(5);
        assert_eq!(queue.pop(&lanes, 1, wait).await.unwrap().len(), 1);
    }
    answering.join().unwrap();
}

/// A push never waits.
fn push_now(queue: &InProcessQueue, hints: &[Hint]) {
    queue
        .push(hints, End::Back)
        .now_or_never()
        .unwrap()
        .unwrap();
}
