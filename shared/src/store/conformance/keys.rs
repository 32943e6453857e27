//! Idempotency keys, unique keys, API keys.

use std::time::Duration;

use super::{
    Fixture,
    fixture::{new_job, now, success, tenant},
};
use crate::{
    api_key::{ApiKey, Scope},
    job::{
        Idempotency, Inserted, JobFilter, JobId, NewJob, State, Tenant, Unique, UniqueMode,
        filter::PageRequest,
    },
};

const STORED: Inserted = Inserted::Stored { replaced: None };

fn keyed(key: &str, request: u8) -> NewJob {
    let job = new_job();
    NewJob {
        idempotency: Some(Idempotency {
            key: key.to_owned(),
            fingerprint: [request; 32],
            status: 202,
            expires_at: job.created_at.after(Duration::from_secs(60)),
        }),
        ..job
    }
}

fn unique(key: &str, mode: UniqueMode) -> NewJob {
    NewJob {
        unique: Some(Unique {
            key: key.to_owned(),
            mode,
        }),
        ..new_job()
    }
}

impl Fixture {
    async fn outcome(&self, job: NewJob) -> Inserted {
        self.store.insert(vec![job]).await.unwrap().remove(0)
    }

    async fn count(&self) -> usize {
        let page = PageRequest {
            after: None,
            before: None,
            limit: 1_000,
        };
        let jobs = self
            .store
            .list(&tenant(), &JobFilter::default(), page)
            .await
            .unwrap();
        jobs.len()
    }
}

pub(super) async fn one_job_a_key_however_many_ask(fixture: &Fixture) {
    // In groups of several, of which some hold the key twice, all at once.
    let asking = (0..20).map(|_| {
        let group = vec![keyed("a", 1), new_job(), keyed("a", 1), keyed("b", 2)];
        fixture.store.insert(group)
    });
    let outcomes: Vec<Inserted> = futures::future::join_all(asking)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let stored = outcomes
        .iter()
        .filter(|outcome| outcome.is_stored())
        .count();
    assert_eq!(stored, 20 + 2);
    assert_eq!(fixture.count().await, 20 + 2);
    let replayed = |outcome: &Inserted| matches!(outcome, Inserted::Replayed { status: 202, .. });
    assert_eq!(
        outcomes.iter().filter(|outcome| replayed(outcome)).count(),
        80 - 22
    );

    // The same submission asked again is itself, not a repetition.
    let job = keyed("c", 3);
    assert_eq!(fixture.outcome(job.clone()).await, STORED);
    assert_eq!(fixture.outcome(job.clone()).await, STORED);
    fixture
        .store
        .set_replayed_status(&tenant(), "c", 200)
        .await
        .unwrap();
    let again = fixture.outcome(keyed("c", 3)).await;
    assert_eq!(
        again,
        Inserted::Replayed {
            job: job.id,
            status: 200
        }
    );
}

pub(super) async fn a_key_is_found_while_it_is_remembered(fixture: &Fixture) {
    let job = keyed("a", 1);
    let (now, end) = (
        job.created_at,
        job.created_at.after(Duration::from_secs(60)),
    );
    let has = |tenant: Tenant, key: &'static str, at| async move {
        let found = fixture.store.has_idempotency_key(&tenant, key, at).await;
        found.unwrap()
    };
    assert!(!has(tenant(), "a", now).await);
    assert_eq!(fixture.outcome(job).await, STORED);
    assert!(has(tenant(), "a", now).await);
    assert!(!has(tenant(), "b", now).await);
    assert!(!has("other".parse().unwrap(), "a", now).await);
    assert!(!has(tenant(), "a", end).await, "as an insert sees it");
}

pub(super) async fn another_request_under_a_key_is_told_apart(fixture: &Fixture) {
    assert_eq!(fixture.outcome(keyed("a", 1)).await, STORED);
    assert_eq!(fixture.outcome(keyed("a", 2)).await, Inserted::KeyReused);
    let of_another = NewJob {
        tenant: "other".parse::<Tenant>().unwrap(),
        ..keyed("a", 2)
    };
    assert_eq!(
        fixture.outcome(of_another).await,
        STORED,
        "keys are a tenant's own"
    );
}

pub(super) async fn a_key_is_forgotten_when_its_time_is_over(fixture: &Fixture) {
    fixture.outcome(keyed("a", 1)).await;
    let later = now().after(Duration::from_secs(61));
    let mut job = keyed("a", 2);
    job.created_at = later;
    job.run_at = later;
    if let Some(idempotency) = &mut job.idempotency {
        idempotency.expires_at = later.after(Duration::from_secs(60));
    }
    assert_eq!(fixture.outcome(job).await, STORED);
    assert_eq!(
        fixture.store.delete_expired_keys(now(), 10).await.unwrap(),
        0
    );
    let end = later.after(Duration::from_secs(60));
    assert_eq!(fixture.store.delete_expired_keys(end, 10).await.unwrap(), 1);
}

pub(super) async fn a_unique_key_is_held_while_its_job_is_active(fixture: &Fixture) {
    let asking = (0..20).map(|_| fixture.outcome(unique("a", UniqueMode::WhileActive)));
    let outcomes = futures::future::join_all(asking).await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| outcome.is_stored())
            .count(),
        1
    );
    let held: Vec<JobId> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Inserted::UniqueExists { job } => Some(*job),
            _ => None,
        })
        .collect();
    assert_eq!(held.len(), 19);
    assert!(held.iter().all(|job| *job == held[0]));

    // The refusal of one does not use up its idempotency key.
    let refused = NewJob {
        unique: unique("a", UniqueMode::WhileActive).unique,
        ..keyed("k", 1)
    };
    assert!(!fixture.outcome(refused.clone()).await.is_stored());
    let lease = fixture.lease().await;
    let claimed = fixture.claim(lease, &[held[0]]).await.remove(0);
    assert!(
        !fixture.outcome(refused.clone()).await.is_stored(),
        "it still runs"
    );
    fixture.finish(&claimed, success()).await;
    assert_eq!(fixture.outcome(refused.clone()).await, STORED);
    assert_eq!(fixture.outcome(refused).await, STORED, "asked again");
}

pub(super) async fn a_window_holds_whatever_becomes_of_the_job(fixture: &Fixture) {
    let window = UniqueMode::Window(Duration::from_secs(10));
    let first = unique("a", window);
    let id = first.id;
    assert_eq!(fixture.outcome(first).await, STORED);
    fixture.store.cancel(&tenant(), id, now()).await.unwrap();
    fixture.store.delete(&tenant(), id).await.unwrap();
    assert_eq!(
        fixture.outcome(unique("a", window)).await,
        Inserted::UniqueExists { job: id }
    );
    let mut later = unique("a", window);
    later.created_at = later.created_at.after(Duration::from_secs(11));
    later.run_at = later.created_at;
    assert_eq!(fixture.outcome(later).await, STORED);
}

pub(super) async fn a_waiting_job_is_replaced(fixture: &Fixture) {
    let (first, second) = (
        unique("a", UniqueMode::Replace),
        unique("a", UniqueMode::Replace),
    );
    let (first_id, second_id) = (first.id, second.id);
    assert_eq!(fixture.outcome(first).await, STORED);
    let replaced = Some(first_id);
    assert_eq!(fixture.outcome(second).await, Inserted::Stored { replaced });
    assert_eq!(fixture.state(first_id).await, State::Cancelled);
    let lease = fixture.lease().await;
    fixture.claim(lease, &[second_id]).await;
    assert_eq!(
        fixture.outcome(unique("a", UniqueMode::Replace)).await,
        Inserted::UniqueExists { job: second_id },
        "what runs is not replaced"
    );
}

pub(super) async fn all_or_none_leaves_nothing_behind(fixture: &Fixture) {
    fixture
        .outcome(unique("taken", UniqueMode::WhileActive))
        .await;
    let group = vec![
        keyed("k", 1),
        new_job(),
        unique("taken", UniqueMode::WhileActive),
    ];
    let outcomes = fixture.store.insert_all_or_none(group).await.unwrap();
    assert!(matches!(outcomes[2], Inserted::UniqueExists { .. }));
    assert_eq!(fixture.count().await, 1);
    let group = vec![keyed("k", 2), new_job()];
    let outcomes = fixture.store.insert_all_or_none(group).await.unwrap();
    assert_eq!(outcomes, [STORED, STORED]);
    assert_eq!(fixture.count().await, 3);
}

pub(super) async fn api_keys_are_kept_and_revoked(fixture: &Fixture) {
    let store = &fixture.store;
    let plain = ApiKey {
        id: *JobId::generate(&crate::clock::SystemClock).as_uuid(),
        secret_hash: [1; 32],
        tenant: "a".parse().unwrap(),
        scopes: vec![Scope::Submit, Scope::Read],
        queues: None,
        kinds: None,
        created_at: now(),
        expires_at: None,
    };
    let narrow = ApiKey {
        id: *JobId::generate(&crate::clock::SystemClock).as_uuid(),
        secret_hash: [2; 32],
        scopes: vec![Scope::Admin],
        queues: Some(vec!["mail".parse().unwrap()]),
        kinds: Some(vec!["sleep".parse().unwrap(), "http".parse().unwrap()]),
        created_at: now().after(Duration::from_secs(1)),
        expires_at: Some(now().after(Duration::from_secs(60))),
        ..plain.clone()
    };
    store.insert_api_key(&plain).await.unwrap();
    store.insert_api_key(&narrow).await.unwrap();
    assert_eq!(
        store.api_keys().await.unwrap(),
        [plain.clone(), narrow.clone()]
    );
    assert!(store.delete_api_key(plain.id).await.unwrap());
    assert!(!store.delete_api_key(plain.id).await.unwrap());
    assert_eq!(
        store.api_keys().await.unwrap(),
        std::slice::from_ref(&narrow)
    );
    assert!(narrow.allows(Scope::Work) && !plain.allows(Scope::Work));
}
