//! Workers side by side.

use std::sync::Arc;

use coatcheck_shared::job::State;

use super::{
    bed::Bed,
    script::{Record, Script},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_run_two_thousand_jobs_once_each() {
    let bed = Arc::new(Bed::new("worker.concurrency = 100").await);
    let record = Record::default();
    let workers = [bed.start(record.registry()), bed.start(record.registry())];
    let mut ids = Vec::new();
    for _ in 0..20 {
        let jobs = (0..100).map(|_| bed.job(&Script::Succeed)).collect();
        ids.extend(bed.submit(jobs).await);
    }
    for id in &ids {
        assert_eq!(bed.finished(*id).await.lifecycle.state, State::Succeeded);
    }
    let executions = record.executions();
    assert_eq!(executions.len(), 2_000);
    assert!(executions.values().all(|attempts| *attempts == [1]));
    for worker in workers {
        worker.end().await.unwrap();
    }
}

#[tokio::test]
async fn no_more_jobs_are_held_than_there_are_slots() {
    let bed = Bed::new("worker.concurrency = 3").await;
    let record = Record::default();
    let worker = bed.start(record.registry());
    let jobs = (0..12).map(|_| bed.job(&Script::SleepMs(60))).collect();
    let ids = bed.submit(jobs).await;
    let mut most = 0;
    for id in ids {
        while !bed.get(id).await.lifecycle.state.is_terminal() {
            most = most.max(worker.status.running());
            tokio::task::yield_now().await;
        }
    }
    assert!((2..=3).contains(&most), "{most} jobs at once");
    worker.end().await.unwrap();
}
