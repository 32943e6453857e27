//! Jobs that wait again after a worker has died under them.

use std::time::Duration;

use super::{
    Fixture,
    fixture::{kinds, new_job, now, retry_in, success, tenant},
};
use crate::{
    job::{JobId, NewJob, Outcome, Priority, QueueName, State},
    queue::Lane,
    store::{FinishOutcome, Suspect},
};

fn queues() -> Vec<QueueName> {
    vec![QueueName::default()]
}

async fn suspects(fixture: &Fixture, limit: u32) -> Vec<Suspect> {
    let (queues, kinds) = (queues(), kinds());
    let found = fixture.store.suspects(&queues, &kinds, limit);
    found.await.unwrap()
}

/// A job under which a worker has died.
async fn suspect(fixture: &Fixture, job: NewJob) -> JobId {
    let lease = fixture.lease().await;
    let id = fixture.running_as(lease, job).await.id;
    assert_eq!(fixture.lose(lease).await.requeued.len(), 1);
    id
}

pub(super) async fn an_ordinary_claim_leaves_suspects_alone(fixture: &Fixture) {
    let id = suspect(fixture, new_job()).await;
    let ordinary = fixture.insert(new_job()).await;
    let lease = fixture.lease().await;
    // By whatever way the id comes: a hint of before the crash, or the oldest that are queued.
    let (queues, kinds) = (queues(), kinds());
    let oldest = fixture.store.oldest_queued(&queues, &kinds, 10);
    assert_eq!(oldest.await.unwrap(), [ordinary]);
    let claimed = fixture.claim(lease, &[id, ordinary]).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].id, ordinary);
    assert!(fixture.claim_suspects(lease, &[ordinary]).await.is_empty());

    // It has no hint that could be lost.
    let lane = Lane {
        queue: QueueName::default(),
        priority: Priority::Normal,
    };
    let later = now().after(Duration::from_secs(60));
    let lost = fixture.store.queued_before(&lane, later, 10).await.unwrap();
    assert!(lost.is_empty(), "{lost:?}");

    let claimed = fixture.claim_suspects(lease, &[id]).await;
    assert_eq!((claimed[0].id, claimed[0].attempt), (id, 2));
    let ended = fixture.lease().await;
    fixture.store.close_lease(ended).await.unwrap();
    let other = suspect(fixture, new_job()).await;
    assert!(fixture.claim_suspects(ended, &[other]).await.is_empty());

    // What becomes of its run does not clear it, but a client who sends it round again does.
    let waits = fixture.finish(&claimed[0], retry_in(0)).await;
    assert_eq!(waits, FinishOutcome::Recorded(State::Scheduled));
    let soon = now().after(Duration::from_secs(1));
    assert_eq!(fixture.store.enqueue_due(soon, 10).await.unwrap().len(), 1);
    assert!(fixture.claim(lease, &[id]).await.is_empty());
    fixture.store.cancel(&tenant(), id, now()).await.unwrap();
    fixture.store.retry(&tenant(), id, now()).await.unwrap();
    assert_eq!(fixture.claim(lease, &[id]).await.len(), 1);
}

pub(super) async fn suspects_are_told_with_their_chances(fixture: &Fixture) {
    let with = |max_attempts| NewJob {
        max_attempts,
        ..new_job()
    };
    let first = suspect(fixture, with(10)).await;
    let second = suspect(fixture, with(2)).await;
    let told = |id, last_chance| Suspect { id, last_chance };
    assert_eq!(
        suspects(fixture, 10).await,
        [told(first, false), told(second, true)],
        "the longest waiting first; the second has one attempt left"
    );
    assert_eq!(suspects(fixture, 1).await, [told(first, false)]);
    let others = (["elsewhere".parse().unwrap()], ["other".parse().unwrap()]);
    for (queues, kinds) in [(&others.0[..], &kinds()[..]), (&queues(), &others.1)] {
        let none = fixture.store.suspects(queues, kinds, 10).await.unwrap();
        assert!(none.is_empty(), "{none:?}");
    }

    let lease = fixture.lease().await;
    assert_eq!(fixture.claim_suspects(lease, &[first]).await.len(), 1);
    assert_eq!(suspects(fixture, 10).await, [told(second, true)]);
    fixture.lose(lease).await;
    assert_eq!(
        suspects(fixture, 10).await,
        [told(second, true), told(first, true)],
        "two workers have died under the first"
    );
    let lease = fixture.lease().await;
    let claimed = fixture.claim_suspects(lease, &[first]).await;
    let done = fixture.finish(&claimed[0], success()).await;
    assert_eq!(done, FinishOutcome::Recorded(State::Succeeded));
    let claimed = fixture.claim_suspects(lease, &[second]).await;
    fixture.finish(&claimed[0], Outcome::Released).await;
    assert_eq!(suspects(fixture, 10).await, [told(second, true)]);
}

pub(super) async fn a_claim_of_suspects_whose_answer_was_lost_gives_the_same_jobs(
    fixture: &Fixture,
) {
    let ids = [
        suspect(fixture, new_job()).await,
        suspect(fixture, new_job()).await,
    ];
    let (lease, claimed_at) = (fixture.lease().await, now());
    for _ in 0..2 {
        let claimed = fixture
            .store
            .claim_suspects(lease, &ids, &kinds(), claimed_at)
            .await
            .unwrap();
        assert_eq!(claimed.len(), 2);
        assert!(claimed.iter().all(|job| job.attempt == 2));
    }
}
