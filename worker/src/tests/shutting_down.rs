//! How a worker ends that is told to.

use coatcheck_shared::{
    job::{Priority, QueueName, State},
    queue::Lane,
};
use tokio::time::Instant;

use super::{
    bed::{Bed, until},
    script::{Record, Script},
};

#[tokio::test]
async fn what_finishes_within_the_grace_is_recorded() {
    let (bed, record) = (Bed::new("worker.grace_s = 10").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::SleepMs(500)).await;
    until("it to run", || !record.executions().is_empty()).await;
    worker.end().await.unwrap();
    let job = bed.get(id).await;
    assert_eq!(job.lifecycle.state, State::Succeeded);
    assert_eq!(job.lifecycle.attempt, 1);
}

#[tokio::test]
async fn what_does_not_is_handed_back_uncharged_and_its_lease_is_closed() {
    let bed = Bed::new("worker.grace_s = 1\nworker.lease_s = 3600").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    let willing = bed.run(Script::SleepMs(60_000)).await;
    let stubborn = bed.run(Script::StubbornMs(60_000)).await;
    until("both to run", || record.executions().len() == 2).await;
    let told_at = Instant::now();
    worker.end().await.unwrap();
    assert!(told_at.elapsed().as_secs() < 6);
    for id in [willing, stubborn] {
        let job = bed.get(id).await;
        assert_eq!(job.lifecycle.state, State::Queued);
        assert_eq!(job.lifecycle.crashes, 0);
        // All three attempts are still to come.
        assert_eq!(job.lifecycle.max_attempts - job.lifecycle.attempt, 3);
    }
    // Their hints wait: the next worker needs no dispatcher to find them.
    let lane = Lane {
        queue: QueueName::default(),
        priority: Priority::default(),
    };
    assert!(bed.backend.queue.depth(&lane).await.unwrap() >= 2);
    let next = bed.start(record.registry());
    until("the next attempts", || {
        record
            .executions()
            .values()
            .all(|attempts| attempts.len() == 2)
    })
    .await;
    next.kill().await;
}

#[tokio::test]
async fn what_waits_stays_queued() {
    let bed = Bed::new("worker.concurrency = 1\nworker.grace_s = 5").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    let running = bed.run(Script::SleepMs(300)).await;
    until("the first to run", || !record.executions().is_empty()).await;
    let waiting = bed.run(Script::Succeed).await;
    worker.end().await.unwrap();
    assert_eq!(bed.get(running).await.lifecycle.state, State::Succeeded);
    let waiting = bed.get(waiting).await;
    assert_eq!(waiting.lifecycle.state, State::Queued);
    assert_eq!(record.executions().len(), 1);
}
