//! Results that are written while they come to be.

use std::time::Duration;

use coatcheck_shared::{job::State, store::CHUNK_SIZE};
use tokio::time::sleep;

use super::{
    bed::{Bed, until},
    outage::Outage,
    script::{Record, Script, noise},
};

fn write(bytes: usize, pause_ms: u64) -> Script {
    Script::Write { bytes, pause_ms }
}

#[tokio::test]
async fn a_result_that_is_written_in_pieces_is_kept_whole() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    for size in [
        0,
        100,
        CHUNK_SIZE,
        CHUNK_SIZE + 1,
        CHUNK_SIZE * 4,
        3_000_000,
    ] {
        let id = bed.run(write(size, 0)).await;
        let job = bed.finished(id).await;
        assert_eq!(job.lifecycle.state, State::Succeeded, "{:?}", job.failure);
        let result = bed.result(id).await;
        assert_eq!(result.content_type, "image/x-noise");
        assert_eq!(result.body.size(), size as u64);
        let body = bed.bytes_of(&result, id).await;
        assert!(body == noise(size), "{size} bytes");
    }
    worker.end().await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_ends_as_soon_as_it_is() {
    let bed = Bed::new("worker.result_bytes = 600000").await;
    let worker = bed.start(Record::default().registry());
    let (fits, too_large) = (
        bed.run(write(600_000, 0)).await,
        bed.run(write(600_001, 0)).await,
    );
    assert_eq!(bed.finished(fits).await.lifecycle.state, State::Succeeded);
    let job = bed.finished(too_large).await;
    assert_eq!(job.lifecycle.attempt, 1, "it is not tried again");
    let failure = job.failure.unwrap();
    assert!(
        failure.message.contains("worker.result_bytes"),
        "{failure:?}"
    );
    worker.end().await.unwrap();
}

#[tokio::test]
async fn pieces_wait_for_a_database_that_is_away() {
    let bed = Bed::new("worker.lease_s = 30\nstore.deadline_s = 0.3").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    let id = bed.run(write(CHUNK_SIZE * 6, 500)).await;
    until("it to run", || !record.executions().is_empty()).await;
    let outage = Outage::begin(&bed).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(bed.get(id).await.lifecycle.state, State::Running);
    outage.end().await;
    let job = bed.finished(id).await;
    assert_eq!(
        (job.lifecycle.state, job.lifecycle.attempt),
        (State::Succeeded, 1)
    );
    assert!(bed.stored(id, 1).await == noise(CHUNK_SIZE * 6));
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_was_killed_half_way_leaves_nothing_in_the_result() {
    let (bed, record) = (Bed::new("worker.lease_s = 1").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(write(CHUNK_SIZE * 8, 3_000)).await;
    while bed.stored(id, 1).await.is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    worker.kill().await;
    let successor = bed.start(record.registry());
    let job = bed.finished(id).await;
    assert_eq!(
        (job.lifecycle.state, job.lifecycle.attempt),
        (State::Succeeded, 2)
    );
    assert!(bed.stored(id, 2).await == noise(CHUNK_SIZE * 8));
    assert!(bed.stored(id, 1).await.is_empty());
    successor.end().await.unwrap();
}
