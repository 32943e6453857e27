//! Hints that are lost, and hints that are for others.

use coatcheck_shared::{
    job::State,
    queue::{End, Hint, Lane},
};

use super::{
    bed::Bed,
    script::{Foreign, Record, RunsForeign, Script},
};
use crate::Registry;

#[tokio::test]
async fn jobs_whose_hints_are_lost_are_run_all_the_same() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let jobs = (0..2_500).map(|_| bed.job(&Script::Succeed)).collect();
    let ids = bed.store(jobs).await;
    let worker = bed.start(record.registry());
    for id in &ids {
        assert_eq!(bed.finished(*id).await.lifecycle.state, State::Succeeded);
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
async fn a_lost_hint_among_others_is_noticed_by_its_age() {
    let (bed, record) = (Bed::new("worker.concurrency = 1").await, Record::default());
    let lost = bed.store(vec![bed.job(&Script::Succeed)]).await[0];
    let busy = bed.run(Script::SleepMs(400)).await;
    let rest: Vec<_> = (0..50).map(|_| bed.job(&Script::SleepMs(20))).collect();
    let rest = bed.submit(rest).await;
    let worker = bed.start(record.registry());
    bed.finished(busy).await;
    bed.finished(lost).await;
    // It did not have to wait until all the others had been served.
    assert_ne!(bed.get(rest[49]).await.lifecycle.state, State::Succeeded);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn stale_and_doubled_hints_run_nothing_twice() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let jobs: Vec<_> = (0..20).map(|_| bed.job(&Script::Succeed)).collect();
    let ids = bed.submit(jobs).await;
    let lane = Lane {
        queue: Default::default(),
        priority: Default::default(),
    };
    let again: Vec<Hint> = ids
        .iter()
        .map(|id| Hint {
            id: *id,
            lane: lane.clone(),
        })
        .collect();
    bed.backend.queue.push(&again, End::Back).await.unwrap();
    let worker = bed.start(record.registry());
    for id in &ids {
        bed.finished(*id).await;
    }
    bed.backend.queue.push(&again, End::Back).await.unwrap();
    let last = bed.run(Script::Succeed).await;
    bed.finished(last).await;
    assert!(
        record
            .executions()
            .values()
            .all(|attempts| *attempts == [1])
    );
    worker.end().await.unwrap();
}

#[tokio::test]
async fn hints_of_other_kinds_go_back_to_whoever_runs_them() {
    let bed = Bed::new("").await;
    let (record, theirs) = (Record::default(), Record::default());
    let mut jobs = Vec::new();
    for _ in 0..100 {
        jobs.push(bed.job_of(&Foreign {}));
        jobs.push(bed.job(&Script::Succeed));
    }
    let worker = bed.start(record.registry());
    let ids = bed.submit(jobs).await;
    for pair in ids.chunks(2) {
        bed.finished(pair[1]).await;
        assert_eq!(bed.get(pair[0]).await.lifecycle.state, State::Queued);
    }
    let foreign = Registry::new().register(RunsForeign(theirs.clone()));
    let their_worker = bed.start(foreign.unwrap());
    for pair in ids.chunks(2) {
        bed.finished(pair[0]).await;
    }
    assert_eq!(record.executions().len(), 100);
    assert_eq!(theirs.executions().len(), 100);
    worker.end().await.unwrap();
    their_worker.end().await.unwrap();
}

#[tokio::test]
async fn hints_that_nobody_can_use_do_not_become_ever_more() {
    // A few at a time, so that they lose their order as they go round.
    let (bed, record) = (Bed::new("worker.concurrency = 3").await, Record::default());
    let ids = bed
        .submit((0..20).map(|_| bed.job_of(&Foreign {})).collect())
        .await;
    let worker = bed.start(record.registry());
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let lane = Lane {
        queue: Default::default(),
        priority: Default::default(),
    };
    let depth = bed.backend.queue.depth(&lane).await.unwrap();
    assert!(depth <= 3 * ids.len() as u64, "{depth} hints of 20 jobs");
    worker.end().await.unwrap();
}
