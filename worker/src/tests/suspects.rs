//! Jobs that wait again after a worker has died under them.

use std::time::Duration;

use coatcheck_shared::{
    clock::Clock,
    job::{Job, JobId, KindName, LeaseId, State},
};

use super::{
    bed::Bed,
    script::{Record, Script},
};

/// Has workers die under queued jobs, so many one after another.
async fn crash(bed: &Bed, ids: &[JobId], times: u32) {
    let store = &bed.backend.store;
    let kinds: [KindName; 1] = ["script".parse().unwrap()];
    for time in 0..times {
        let (lease, now) = (
            LeaseId::generate(&bed.backend.clock),
            bed.backend.clock.now(),
        );
        let minute = Duration::from_secs(60);
        store.open_lease(lease, "doomed", minute).await.unwrap();
        let claimed = match time {
            0 => store.claim(lease, ids, &kinds, now).await,
            _ => store.claim_suspects(lease, ids, &kinds, now).await,
        };
        assert_eq!(claimed.unwrap().len(), ids.len());
        store.close_lease(lease).await.unwrap();
        store.rescue(now, 1_000).await.unwrap();
    }
}

fn apart(job: &Job, other: &Job) -> bool {
    job.finished_at <= other.started_at || other.finished_at <= job.started_at
}

#[tokio::test]
async fn suspects_run_apart_from_other_jobs_and_alone_on_their_last_chance() {
    let (bed, record) = (Bed::new("worker.concurrency = 20").await, Record::default());
    let jobs = |count| -> Vec<_> { (0..count).map(|_| bed.job(&Script::SleepMs(20))).collect() };
    let suspects = bed.store(jobs(8)).await;
    crash(&bed, &suspects, 1).await;
    let on_their_last_chance = bed.store(jobs(4)).await;
    crash(&bed, &on_their_last_chance, 2).await;
    let ordinary = bed.submit(jobs(200)).await;

    let worker = bed.start(record.registry());
    let mut ended = Vec::new();
    for id in suspects
        .iter()
        .chain(&on_their_last_chance)
        .chain(&ordinary)
    {
        let job = bed.finished(*id).await;
        assert_eq!(job.lifecycle.state, State::Succeeded, "{:?}", job.failure);
        ended.push(job);
    }
    worker.end().await.unwrap();

    let (suspects, rest) = ended.split_at(8);
    let (alone, ordinary) = rest.split_at(4);
    for (index, job) in alone.iter().enumerate() {
        let others = suspects.iter().chain(ordinary).chain(&alone[index + 1..]);
        for other in others {
            assert!(apart(job, other), "{:?} ran beside {:?}", job.id, other.id);
        }
    }
    for job in suspects {
        assert!(ordinary.iter().all(|other| apart(job, other)));
    }
    assert!(
        suspects[1..].iter().any(|job| !apart(job, &suspects[0])),
        "those with chances left need not be alone"
    );
}

#[tokio::test]
async fn suspects_run_though_what_ran_before_outlasts_their_turn() {
    let (bed, record) = (Bed::new("worker.concurrency = 20").await, Record::default());
    let suspect = bed.store(vec![bed.job(&Script::Succeed)]).await;
    crash(&bed, &suspect, 1).await;
    let slow = bed.run(Script::SleepMs(8_000)).await;

    let worker = bed.start(record.registry());
    let (slow, suspect) = (bed.finished(slow).await, bed.finished(suspect[0]).await);
    worker.end().await.unwrap();

    // It needs no second turn, which would be half as late as the first was long, or later.
    let waited = suspect.started_at.unwrap().since(slow.finished_at.unwrap());
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}
