//! The suite that every bus must pass.

use std::{sync::Arc, time::Duration};

use tokio::{sync::broadcast, time::timeout};

use super::{Signal, Signals};
use crate::{clock::SystemClock, job::JobId};

const PATIENCE: Duration = Duration::from_secs(10);

/// Makes one test of each case. `$start` is an async function that gives a new bus and what must
/// live as long as it does.
macro_rules! signals_conform {
    ($start:path) => {
        signals_conform! { $start:
            every_type_of_signal_arrives_as_it_was
            every_subscriber_hears_what_its_own_process_publishes
            a_large_batch_arrives_whole
            signals_arrive_in_order
            only_what_comes_after_subscribing_is_heard
            that_nobody_listens_is_no_error
            many_publish_at_once
            a_dropped_bus_ends_its_receivers
        }
    };
    ($start:path: $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (signals, _alive) = $start().await;
                $crate::signal::conformance::$case(signals).await;
            }
        )+
    };
}
pub(crate) use signals_conform;

pub(crate) fn some_ids(count: usize) -> Vec<JobId> {
    (0..count).map(|_| JobId::generate(&SystemClock)).collect()
}

/// The next signal, which must come.
pub(crate) async fn next(receiver: &mut broadcast::Receiver<Signal>) -> Signal {
    timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap()
}

pub(crate) async fn every_type_of_signal_arrives_as_it_was(signals: Arc<dyn Signals>) {
    let mut receiver = signals.subscribe();
    for signal in [
        Signal::Finished(some_ids(1)),
        Signal::CancelRequested(some_ids(3)),
        Signal::QueueCreated("some.queue-1".parse().unwrap()),
        Signal::Finished(some_ids(2)),
    ] {
        signals.publish(signal.clone()).await.unwrap();
        assert_eq!(next(&mut receiver).await, signal);
    }
}

pub(crate) async fn every_subscriber_hears_what_its_own_process_publishes(
    signals: Arc<dyn Signals>,
) {
    let mut receivers: Vec<_> = (0..5).map(|_| signals.subscribe()).collect();
    let signal = Signal::Finished(some_ids(2));
    signals.publish(signal.clone()).await.unwrap();
    for receiver in &mut receivers {
        assert_eq!(next(receiver).await, signal);
    }
}

pub(crate) async fn a_large_batch_arrives_whole(signals: Arc<dyn Signals>) {
    let mut receiver = signals.subscribe();
    let ids = some_ids(10_000);
    signals
        .publish(Signal::Finished(ids.clone()))
        .await
        .unwrap();
    let mut heard = Vec::new();
    while heard.len() < ids.len() {
        match next(&mut receiver).await {
            Signal::Finished(some) => heard.extend(some),
            other => panic!("{other:?}"),
        }
    }
    assert!(heard == ids);
}

pub(crate) async fn signals_arrive_in_order(signals: Arc<dyn Signals>) {
    let mut receiver = signals.subscribe();
    let ids = some_ids(500);
    for id in &ids {
        signals.publish(Signal::Finished(vec![*id])).await.unwrap();
    }
    for id in &ids {
        assert_eq!(next(&mut receiver).await, Signal::Finished(vec![*id]));
    }
}

pub(crate) async fn only_what_comes_after_subscribing_is_heard(signals: Arc<dyn Signals>) {
    let mut early = signals.subscribe();
    let (before, after) = (Signal::Finished(some_ids(1)), Signal::Finished(some_ids(1)));
    signals.publish(before.clone()).await.unwrap();
    assert_eq!(next(&mut early).await, before);
    let mut late = signals.subscribe();
    signals.publish(after.clone()).await.unwrap();
    assert_eq!(next(&mut late).await, after);
}

pub(crate) async fn that_nobody_listens_is_no_error(signals: Arc<dyn Signals>) {
    signals
        .publish(Signal::Finished(some_ids(1)))
        .await
        .unwrap();
}

pub(crate) async fn many_publish_at_once(signals: Arc<dyn Signals>) {
    let mut receiver = signals.subscribe();
    let ids = some_ids(500);
    let publishers = ids
        .iter()
        .map(|id| signals.publish(Signal::CancelRequested(vec![*id])));
    for published in futures::future::join_all(publishers).await {
        published.unwrap();
    }
    let mut heard = Vec::new();
    for _ in &ids {
        match next(&mut receiver).await {
            Signal::CancelRequested(some) => heard.extend(some),
            other => panic!("{other:?}"),
        }
    }
    heard.sort_unstable();
    assert_eq!(heard, ids);
}

pub(crate) async fn a_dropped_bus_ends_its_receivers(signals: Arc<dyn Signals>) {
    let mut receiver = signals.subscribe();
    drop(signals);
    let ended = timeout(PATIENCE, receiver.recv()).await.unwrap();
    assert_eq!(ended, Err(broadcast::error::RecvError::Closed));
}
