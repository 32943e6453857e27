//! What a client asks of a job that is there.

use std::time::Duration;

use super::{
    Fixture,
    fixture::{failure, new_job, now, success, tenant},
};
use crate::{
    clock::SystemClock,
    job::{AttemptOutcome, JobId, NewJob, Outcome, State, Tenant},
    store::{CHUNK_SIZE, DeleteOutcome, FinishOutcome, RetryOutcome},
};

pub(super) async fn a_retry_sends_a_finished_job_round_again(fixture: &Fixture) {
    let store = &fixture.store;
    let lease = fixture.lease().await;
    let retry = async |id| store.retry(&tenant(), id, now()).await.unwrap();
    assert_eq!(retry(JobId::generate(&SystemClock)).await, None);
    let job = NewJob {
        max_attempts: 1,
        deadline_at: Some(now().after(Duration::from_secs(3))),
        ..new_job()
    };
    let first = fixture.running_as(lease, job).await;
    assert!(
        matches!(retry(first.id).await, Some(RetryOutcome::Refused(_))),
        "it runs"
    );
    fixture.finish(&first, Outcome::Failed(failure())).await;
    match retry(first.id).await {
        Some(RetryOutcome::Requeued(job)) => {
            assert_eq!(job.lifecycle.state, State::Queued);
            assert_eq!((job.lifecycle.attempt, job.lifecycle.max_attempts), (1, 2));
            assert_eq!(
                (job.finished_at, job.expires_at, job.deadline_at),
                (None, None, None)
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        fixture.finish(&first, success()).await,
        FinishOutcome::AlreadyRecorded(State::Queued),
        "its attempt's end had been recorded"
    );
    let far = now().after(Duration::from_secs(600));
    assert!(
        store.fail_overdue(far, 10).await.unwrap().is_empty(),
        "the deadline was the first life's"
    );
    let second = fixture.claim(lease, &[first.id]).await.remove(0);
    assert_eq!(second.attempt, 2);
    fixture.finish(&second, success()).await;
    assert!(
        matches!(retry(first.id).await, Some(RetryOutcome::Refused(_))),
        "it succeeded"
    );
    let attempts = store.attempts(&tenant(), first.id).await.unwrap().unwrap();
    let outcomes: Vec<_> = attempts
        .iter()
        .filter_map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Failed, AttemptOutcome::Succeeded]
    );
    assert_eq!(attempts[0].failure, Some(failure()));

    let cancelled = fixture.insert(new_job()).await;
    store.cancel(&tenant(), cancelled, now()).await.unwrap();
    assert!(matches!(
        retry(cancelled).await,
        Some(RetryOutcome::Requeued(_))
    ));
    assert_eq!(fixture.claim(lease, &[cancelled]).await.len(), 1);
}

pub(super) async fn only_finished_jobs_are_deleted(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let delete = async |id| fixture.store.delete(&tenant(), id).await.unwrap();
    let job = NewJob {
        payload: vec![1; CHUNK_SIZE + 1].into(),
        ..new_job()
    };
    let id = fixture.insert(job).await;
    assert!(
        matches!(delete(id).await, Some(DeleteOutcome::Active(_))),
        "it waits"
    );
    let job = fixture.claim(lease, &[id]).await.remove(0);
    assert!(
        matches!(delete(id).await, Some(DeleteOutcome::Active(_))),
        "it runs"
    );
    fixture.finish(&job, success()).await;
    let other = "other".parse().unwrap();
    assert_eq!(
        fixture.store.delete(&other, id).await.unwrap(),
        None,
        "another's"
    );
    assert_eq!(delete(id).await, Some(DeleteOutcome::Deleted));
    assert_eq!(delete(id).await, None);
    assert_eq!(fixture.finish(&job, success()).await, FinishOutcome::Stale);
}

pub(super) async fn many_are_moved_at_once(fixture: &Fixture) {
    let store = &fixture.store;
    let lease = fixture.lease().await;
    let waiting = fixture.insert_many(5).await;
    let running = fixture.insert_many(3).await;
    let claimed = fixture.claim(lease, &running).await;
    let all: Vec<JobId> = waiting.iter().chain(&running).copied().collect();
    let cancel = async |tenant: &Tenant, states: &[State]| {
        let done = store.cancel_all(tenant, &all, states, now()).await.unwrap();
        (done.cancelled.len(), done.requested.len())
    };
    let delete = async |ids: &[JobId], states: &[State]| {
        store.delete_all(&tenant(), ids, states).await.unwrap()
    };
    let retry = async |states: &[State]| {
        let hints = store.retry_all(&tenant(), &all, states, now()).await;
        hints.unwrap().len()
    };
    let other = "other".parse().unwrap();
    assert_eq!(cancel(&other, &State::ALL).await, (0, 0), "another's");
    assert_eq!(cancel(&tenant(), &[State::Scheduled]).await, (0, 0));
    assert_eq!(cancel(&tenant(), &[State::Running]).await, (0, 3));
    assert_eq!(cancel(&tenant(), &State::ALL).await, (5, 3));
    assert_eq!(delete(&all, &[State::Succeeded]).await, 0);
    assert_eq!(delete(&all[..2], &State::ALL).await, 2);
    assert_eq!(retry(&[State::Failed]).await, 0);
    assert_eq!(retry(&State::ALL).await, 3, "two are gone, three still run");
    for job in &claimed {
        fixture.finish(job, Outcome::Cancelled).await;
    }
    assert_eq!(delete(&all, &State::ALL).await, 3);
}
