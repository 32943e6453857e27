//! A worker process's right to run jobs.

use std::time::Duration;

use super::{Fixture, fixture::now};
use crate::{clock::SystemClock, job::LeaseId};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

pub(super) async fn an_ended_lease_never_comes_back(fixture: &Fixture) {
    let store = &fixture.store;
    let lease = LeaseId::generate(&SystemClock);
    store.open_lease(lease, "a-worker", SHORT).await.unwrap();
    assert!(store.renew_lease(lease, SHORT).await.unwrap());
    tokio::time::sleep(SHORT * 2).await;
    assert!(
        !store.renew_lease(lease, LONG).await.unwrap(),
        "it had run out"
    );

    let lease = fixture.lease().await;
    store.close_lease(lease).await.unwrap();
    assert!(
        !store.renew_lease(lease, LONG).await.unwrap(),
        "it was closed"
    );
    let unknown = LeaseId::generate(&SystemClock);
    assert!(!store.renew_lease(unknown, LONG).await.unwrap());
}

pub(super) async fn nothing_is_claimed_without_a_live_lease(fixture: &Fixture) {
    let ids = fixture.insert_many(3).await;
    let unknown = LeaseId::generate(&SystemClock);
    assert!(fixture.claim(unknown, &ids).await.is_empty());
    let closed = fixture.lease().await;
    fixture.store.close_lease(closed).await.unwrap();
    assert!(fixture.claim(closed, &ids).await.is_empty());
    let live = fixture.lease().await;
    assert_eq!(fixture.claim(live, &ids).await.len(), 3);
}

pub(super) async fn old_leases_are_forgotten_only_without_jobs(fixture: &Fixture) {
    let lease = fixture.lease().await;
    fixture.running(lease).await;
    fixture.store.close_lease(lease).await.unwrap();
    assert_eq!(
        fixture.store.delete_ended_leases().await.unwrap(),
        0,
        "it ended only now"
    );
    let rescued = fixture.store.rescue(now(), 10).await.unwrap();
    assert_eq!(rescued.requeued.len(), 1);
    let again = fixture.lease().await;
    let ids: Vec<_> = rescued.requeued.iter().map(|hint| hint.id).collect();
    let claimed = fixture.claim_suspects(again, &ids).await;
    assert_eq!(claimed[0].attempt, 2);
}
