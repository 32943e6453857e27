//! What the keepers put right.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Fixture,
    fixture::{kinds, new_job, now, retry_in, tenant},
};
use crate::{
    job::{
        AttemptOutcome, JobId, JobResult, NewJob, Outcome, Priority, State, failure::FailureType,
        lifecycle::CRASH_LIMIT,
    },
    queue::Lane,
    store::{CHUNK_SIZE, LogLine},
};

pub(super) async fn a_dead_workers_jobs_are_rescued(fixture: &Fixture) {
    let (dead, living) = (fixture.lease().await, fixture.lease().await);
    let (lost, kept) = (fixture.running(dead).await, fixture.running(living).await);
    let nothing = fixture.store.rescue(now(), 100).await.unwrap();
    assert_eq!(nothing, Default::default());

    fixture.store.close_lease(dead).await.unwrap();
    let rescued = fixture.store.rescue(now(), 100).await.unwrap();
    assert!(rescued.ended.is_empty());
    assert_eq!(rescued.requeued.len(), 1);
    assert_eq!(rescued.requeued[0].id, lost.id);
    assert_eq!(fixture.state(kept.id).await, State::Running);
    let job = fixture.get(lost.id).await;
    assert_eq!(job.lifecycle.state, State::Queued);
    assert_eq!(job.lifecycle.crashes, 1);
    let again = fixture.store.rescue(now(), 100).await.unwrap();
    assert_eq!(again, Default::default());
    let attempts = fixture
        .store
        .attempts(&tenant(), lost.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Crashed));
    assert_eq!(attempts[0].worker.as_deref(), Some("a-worker"));

    // More of them than one sweep takes.
    let dead = fixture.lease().await;
    let ids = fixture.insert_many(25).await;
    assert_eq!(fixture.claim(dead, &ids).await.len(), 25);
    fixture.store.close_lease(dead).await.unwrap();
    let mut requeued = 0;
    for _ in 0..3 {
        requeued += fixture
            .store
            .rescue(now(), 10)
            .await
            .unwrap()
            .requeued
            .len();
    }
    assert_eq!(requeued, 25);
}

pub(super) async fn a_job_that_kills_its_workers_ends(fixture: &Fixture) {
    for (max_attempts, expected) in [(10, FailureType::CrashLimit), (2, FailureType::WorkerLost)] {
        let id = fixture
            .insert(NewJob {
                max_attempts,
                ..new_job()
            })
            .await;
        let deaths = max_attempts.min(CRASH_LIMIT);
        for death in 1..=deaths {
            let lease = fixture.lease().await;
            let claimed = match death {
                1 => fixture.claim(lease, &[id]).await,
                _ => fixture.claim_suspects(lease, &[id]).await,
            };
            assert_eq!(claimed.len(), 1);
            let rescued = fixture.lose(lease).await;
            assert_eq!(rescued.ended.len(), usize::from(death == deaths));
        }
        let job = fixture.get(id).await;
        assert_eq!(job.lifecycle.state, State::Failed);
        assert_eq!(job.failure.unwrap().failure_type, expected);
    }
}

pub(super) async fn a_dead_workers_cancelled_job_is_cancelled(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    fixture
        .store
        .cancel(&tenant(), job.id, now())
        .await
        .unwrap();
    fixture.store.close_lease(lease).await.unwrap();
    let rescued = fixture.store.rescue(now(), 10).await.unwrap();
    assert_eq!(rescued.ended, [job.id]);
    assert_eq!(fixture.state(job.id).await, State::Cancelled);
}

pub(super) async fn jobs_out_of_time_fail(fixture: &Fixture) {
    let limit = now().after(Duration::from_secs(5));
    let late = limit.after(Duration::from_secs(1));
    let not_started = fixture
        .insert(NewJob {
            start_by: Some(limit),
            ..new_job()
        })
        .await;
    let overdue = fixture
        .insert(NewJob {
            deadline_at: Some(limit),
            run_at: now().after(Duration::from_secs(600)),
            ..new_job()
        })
        .await;
    let begun = NewJob {
        start_by: Some(limit),
        ..new_job()
    };
    let lease = fixture.lease().await;
    let begun = fixture.running_as(lease, begun).await;
    fixture.finish(&begun, retry_in(60_000)).await;
    let timeless = fixture.insert(new_job()).await;

    assert!(
        fixture
            .store
            .fail_overdue(now(), 10)
            .await
            .unwrap()
            .is_empty(),
        "not yet"
    );
    let claimed = fixture
        .store
        .claim(lease, &[not_started, overdue], &kinds(), late)
        .await
        .unwrap();
    assert!(claimed.is_empty(), "what is out of time is not begun");
    let mut failed = fixture.store.fail_overdue(late, 10).await.unwrap();
    failed.sort_unstable();
    assert_eq!(failed, [not_started, overdue]);
    assert!(
        fixture
            .store
            .fail_overdue(late, 10)
            .await
            .unwrap()
            .is_empty()
    );
    for (id, expected) in [
        (not_started, FailureType::NotStarted),
        (overdue, FailureType::Deadline),
    ] {
        let job = fixture.get(id).await;
        assert_eq!(job.lifecycle.state, State::Failed);
        assert_eq!(job.lifecycle.attempt, 0);
        assert_eq!(job.failure.unwrap().failure_type, expected);
    }
    assert_eq!(
        fixture.state(begun.id).await,
        State::Scheduled,
        "it had begun in time"
    );
    assert_eq!(fixture.state(timeless).await, State::Queued);
}

pub(super) async fn expired_jobs_are_forgotten_with_all_that_is_theirs(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let body = vec![1; CHUNK_SIZE + 1];
    let job = NewJob {
        payload: Bytes::from(body.clone()),
        ..new_job()
    };
    let first = fixture.running_as(lease, job).await;
    fixture.finish(&first, retry_in(0)).await;
    let due = now().after(Duration::from_secs(1));
    fixture.store.enqueue_due(due, 10).await.unwrap();
    let second = fixture.claim(lease, &[first.id]).await.pop().unwrap();
    let line = LogLine {
        job: first.id,
        attempt: 2,
        started_at: now(),
        sequence: 0,
        logged_at: now(),
        text: "a line".to_owned(),
    };
    fixture.store.append_logs(&[line]).await.unwrap();
    fixture
        .finish(&second, Outcome::Succeeded(JobResult::new("a/b", body)))
        .await;
    let kept = fixture.running(lease).await;

    let retained = Duration::from_secs(3_600);
    assert_eq!(
        fixture.store.delete_expired(now(), 10).await.unwrap(),
        0,
        "not yet"
    );
    let later = now().after(retained + Duration::from_secs(1));
    assert_eq!(fixture.store.delete_expired(later, 10).await.unwrap(), 1);
    assert_eq!(fixture.store.get(&tenant(), first.id).await.unwrap(), None);
    assert_eq!(
        fixture
            .store
            .logs(&tenant(), first.id, 0, 10)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        fixture.state(kept.id).await,
        State::Running,
        "no active job expires"
    );
}

pub(super) async fn lanes_and_their_oldest_jobs_are_found(fixture: &Fixture) {
    let store = &fixture.store;
    let begin = now();
    let job = |queue: &str, priority, milliseconds| {
        let created_at = begin.after(Duration::from_millis(milliseconds));
        NewJob {
            queue: queue.parse().unwrap(),
            priority,
            created_at,
            run_at: created_at,
            ..new_job()
        }
    };
    for queue in ["a", "b", "empty"] {
        store.create_queue(&queue.parse().unwrap()).await.unwrap();
    }
    let second = fixture.insert(job("a", Priority::Normal, 2)).await;
    let first = fixture.insert(job("a", Priority::Normal, 1)).await;
    let third = fixture.insert(job("a", Priority::Normal, 3)).await;
    let high = fixture.insert(job("a", Priority::High, 4)).await;
    let other = fixture.insert(job("b", Priority::Low, 0)).await;

    let lane = |queue: &str, priority| Lane {
        queue: queue.parse().unwrap(),
        priority,
    };
    let mut lanes = store.lanes().await.unwrap();
    lanes.sort();
    assert_eq!(
        lanes,
        [
            lane("a", Priority::High),
            lane("a", Priority::Normal),
            lane("b", Priority::Low),
        ]
    );
    let normal = lane("a", Priority::Normal);
    let before = begin.after(Duration::from_millis(3));
    assert_eq!(
        store.queued_before(&normal, before, 10).await.unwrap(),
        [first, second]
    );
    assert_eq!(
        store.queued_before(&normal, before, 1).await.unwrap(),
        [first]
    );
    let queued_at = store.queued_at(second).await.unwrap();
    assert_eq!(queued_at, Some(begin.after(Duration::from_millis(2))));
    let unknown = JobId::generate(&crate::clock::SystemClock);
    assert_eq!(store.queued_at(unknown).await.unwrap(), None);

    let queues = ["b".parse().unwrap(), "a".parse().unwrap()];
    let oldest = store.oldest_queued(&queues, &kinds(), 10).await.unwrap();
    assert_eq!(oldest, [high, first, second, third, other]);
    assert_eq!(
        store.oldest_queued(&queues, &kinds(), 2).await.unwrap(),
        [high, first]
    );
    assert!(
        store
            .oldest_queued(&queues, &["x".parse().unwrap()], 9)
            .await
            .unwrap()
            .is_empty()
    );
    let count = async |limit| store.count_waiting(&queues[1], limit).await.unwrap();
    assert_eq!((count(100).await, count(2).await), (4, 2));

    let lease = fixture.lease().await;
    fixture.claim(lease, &[high, other]).await;
    assert_eq!(store.lanes().await.unwrap(), [normal]);
}

pub(super) async fn foreign_kinds_are_told(fixture: &Fixture) {
    let own = fixture.insert(new_job()).await;
    let foreign = fixture
        .insert(NewJob {
            kind: "other".parse().unwrap(),
            queue: "q".parse().unwrap(),
            priority: Priority::High,
            ..new_job()
        })
        .await;
    let ids: [JobId; 2] = [own, foreign];
    let hints = fixture
        .store
        .queued_of_other_kinds(&ids, &kinds())
        .await
        .unwrap();
    assert_eq!(hints.len(), 1);
    assert_eq!(hints[0].id, foreign);
    assert_eq!(hints[0].lane.priority, Priority::High);
}

pub(super) async fn unfinished_jobs_of_a_tenant_are_counted(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for _ in 0..3 {
        fixture.insert(new_job()).await;
    }
    let running = fixture.running(lease).await;
    fixture
        .insert(NewJob {
            tenant: "another".parse().unwrap(),
            ..new_job()
        })
        .await;
    let count = async |limit| {
        let counted = fixture.store.count_unfinished(&tenant(), limit).await;
        counted.unwrap()
    };
    assert_eq!((count(100).await, count(2).await), (4, 2));
    let result = JobResult::new("a/b", "");
    fixture.finish(&running, Outcome::Succeeded(result)).await;
    assert_eq!(count(100).await, 3);
}
