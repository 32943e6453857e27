//! What happens when a worker loses its lease, or its life.

use coatcheck_shared::job::{AttemptOutcome, State, Tenant};

use super::{
    bed::{Bed, until},
    script::{Record, Script},
};
use crate::Readiness;

#[tokio::test]
async fn a_lost_lease_stops_the_handlers_and_their_jobs_run_again_under_another() {
    let (bed, record) = (Bed::new("worker.lease_s = 1").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::StubbornMs(60_000)).await;
    until("the first attempt", || !record.leases().is_empty()).await;
    let lost = record.leases()[0];
    bed.backend.store.close_lease(lost).await.unwrap();
    let job = bed.finished(id).await;
    assert_eq!(job.lifecycle.state, State::Succeeded);
    assert_eq!(record.executions()[&id], [1, 2]);
    until("the first to be dropped", || record.dropped() == 1).await;
    assert_ne!(record.leases()[1], lost);
    let attempts = bed.backend.store.attempts(&Tenant::default(), id).await;
    let attempts = attempts.unwrap().unwrap();
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Crashed));
    worker.end().await.unwrap();
}

#[tokio::test]
async fn an_outcome_of_before_the_loss_is_refused() {
    let (bed, record) = (Bed::new("worker.lease_s = 1").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::StubbornMs(150)).await;
    until("the first attempt", || !record.leases().is_empty()).await;
    let lost = record.leases()[0];
    bed.backend.store.close_lease(lost).await.unwrap();
    // The rescuer has taken it away before the handler is done.
    bed.once(id, |state| state != State::Running).await;
    let job = bed.finished(id).await;
    assert_eq!(job.lifecycle.attempt, 2);
    assert_eq!(job.lifecycle.crashes, 1);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_dead_workers_jobs_are_rescued_by_another() {
    let (bed, record) = (Bed::new("worker.lease_s = 1").await, Record::default());
    let doomed = bed.start(record.registry());
    let ids = bed
        .submit(
            (0..20)
                .map(|_| bed.job(&Script::StubbornMs(60_000)))
                .collect(),
        )
        .await;
    until("all to run", || record.executions().len() == 20).await;
    doomed.kill().await;
    let heir = bed.start(record.registry());
    for id in ids {
        let job = bed.finished(id).await;
        assert_eq!(job.lifecycle.state, State::Succeeded);
        assert_eq!(job.lifecycle.attempt, 2);
    }
    heir.end().await.unwrap();
}

#[tokio::test]
async fn the_status_says_when_it_is_ready() {
    let bed = Bed::new("").await;
    let worker = bed.start(Record::default().registry());
    let status = worker.status.clone();
    until("readiness", || status.readiness() == Readiness::Ready).await;
    let id = bed.run(Script::SleepMs(200)).await;
    until("a running job", || status.running() == 1).await;
    bed.finished(id).await;
    until("a free slot", || status.running() == 0).await;
    worker.end().await.unwrap();
    assert_eq!(status.readiness(), Readiness::ShuttingDown);
}
