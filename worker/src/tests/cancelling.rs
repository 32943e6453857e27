//! Jobs that are called off.

use std::time::Duration;

use coatcheck_shared::{
    clock::Clock,
    job::{JobId, State, Tenant},
    signal::Signal,
};
use tokio::time::Instant;

use super::{
    bed::Bed,
    script::{Record, Script},
};

async fn cancel(bed: &Bed, id: JobId) {
    let now = bed.backend.clock.now();
    let cancelled = bed.backend.store.cancel(&Tenant::default(), id, now).await;
    assert!(cancelled.unwrap().is_some());
}

async fn signal(bed: &Bed, id: JobId) {
    let signal = Signal::CancelRequested(vec![id]);
    bed.backend.signals.publish(signal).await.unwrap();
}

#[tokio::test]
async fn a_queued_job_that_was_called_off_never_begins() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let id = bed.run(Script::Succeed).await;
    cancel(&bed, id).await;
    let worker = bed.start(record.registry());
    let next = bed.run(Script::Succeed).await;
    bed.finished(next).await;
    assert_eq!(bed.get(id).await.lifecycle.state, State::Cancelled);
    assert!(!record.executions().contains_key(&id));
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_running_job_is_told_to_stop_and_does() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::SleepMs(60_000)).await;
    bed.once(id, |state| state == State::Running).await;
    cancel(&bed, id).await;
    let told_at = Instant::now();
    signal(&bed, id).await;
    assert_eq!(bed.finished(id).await.lifecycle.state, State::Cancelled);
    assert!(told_at.elapsed() < Duration::from_millis(900));
    assert_eq!(record.dropped(), 0);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_stubborn_job_is_dropped_after_the_grace() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::StubbornMs(60_000)).await;
    bed.once(id, |state| state == State::Running).await;
    cancel(&bed, id).await;
    signal(&bed, id).await;
    assert_eq!(bed.finished(id).await.lifecycle.state, State::Cancelled);
    assert_eq!(record.dropped(), 1);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn work_that_was_done_all_the_same_counts() {
    let bed = Bed::new("").await;
    let worker = bed.start(Record::default().registry());
    let id = bed.run(Script::FinishWhenStopped).await;
    bed.once(id, |state| state == State::Running).await;
    cancel(&bed, id).await;
    signal(&bed, id).await;
    assert_eq!(bed.finished(id).await.lifecycle.state, State::Succeeded);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_lost_signal_is_found_at_the_next_renewal() {
    let bed = Bed::new("worker.lease_s = 1").await;
    let worker = bed.start(Record::default().registry());
    let id = bed.run(Script::SleepMs(60_000)).await;
    bed.once(id, |state| state == State::Running).await;
    cancel(&bed, id).await;
    assert_eq!(bed.finished(id).await.lifecycle.state, State::Cancelled);
    worker.end().await.unwrap();
}
