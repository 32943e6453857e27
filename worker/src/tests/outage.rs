//! The database being away.

use std::time::Duration;

use coatcheck_shared::{clock::Clock, job::State, timestamp::Timestamp};
use sqlx::{Connection, SqliteConnection};
use tokio::time::sleep;

use super::{
    bed::{Bed, until},
    script::{Record, Script},
};

/// Another writer that lets nobody else write.
pub(super) struct Outage(SqliteConnection);

impl Outage {
    pub(super) async fn begin(bed: &Bed) -> Self {
        let mut connection = bed.connect().await;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn last_lease_ends_at(&mut self) -> Timestamp {
        let microseconds = sqlx::query_scalar("SELECT max(ends_at) FROM leases")
            .fetch_one(&mut self.0)
            .await
            .unwrap();
        Timestamp::from_microseconds(microseconds)
    }

    pub(super) async fn end(self) {
        self.0.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_ends_while_the_database_is_away_is_recorded_when_it_is_back() {
    let bed = Bed::new("worker.lease_s = 30\nstore.deadline_s = 0.3").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    let jobs = (0..20).map(|_| bed.job(&Script::SleepMs(400))).collect();
    let ids = bed.submit(jobs).await;
    until("all to run", || record.executions().len() == 20).await;
    let outage = Outage::begin(&bed).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(bed.get(ids[0]).await.lifecycle.state, State::Running);
    outage.end().await;
    for id in ids {
        let job = bed.finished(id).await;
        assert_eq!(job.lifecycle.state, State::Succeeded);
        assert_eq!(job.lifecycle.attempt, 1);
    }
    assert!(
        record
            .executions()
            .values()
            .all(|attempts| *attempts == [1])
    );
    worker.end().await.unwrap();
}

#[tokio::test]
async fn handlers_are_stopped_before_the_lease_that_cannot_be_renewed_ends() {
    let bed = Bed::new("worker.lease_s = 3\nstore.deadline_s = 0.3").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    let id = bed.run(Script::StubbornMs(60_000)).await;
    until("it to run", || !record.executions().is_empty()).await;
    let mut outage = Outage::begin(&bed).await;
    let lease_ends_at = outage.last_lease_ends_at().await;
    until("it to be stopped", || record.dropped() == 1).await;
    assert!(bed.backend.clock.now() < lease_ends_at);
    outage.end().await;
    let job = bed.finished(id).await;
    assert_eq!(job.lifecycle.state, State::Succeeded);
    assert_eq!(record.executions()[&id], [1, 2]);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_meanwhile_ends_all_the_same() {
    let bed = Bed::new("worker.lease_s = 2\nworker.grace_s = 1\nstore.deadline_s = 0.3").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    bed.run(Script::SleepMs(60_000)).await;
    until("it to run", || !record.executions().is_empty()).await;
    let outage = Outage::begin(&bed).await;
    worker.end().await.unwrap();
    outage.end().await;
}
