//! What only Postgres can do wrong: several transactions at once, and connections that are gone.

use std::time::{Duration, Instant};

use sqlx::Executor;
use url::Url;

use super::{PostgresSettings, PostgresStore};
use crate::{
    clock::{Clock, SystemClock},
    job::{Idempotency, Inserted, LeaseId, NewJob, Tenant, Unique, UniqueMode},
    store::{
        CensusStore, JobStore, KeeperStore, ReadStore, Rescued, RunStore,
        conformance::{empty_postgres, new_job},
    },
    test_proxy::TestProxy,
};

#[tokio::test]
async fn a_key_that_is_taken_anew_while_it_is_being_forgotten_stays() {
    let store = with_schema().await;
    let job = new_job();
    let expired_at = job.created_at.after(Duration::from_secs(60));
    let idempotency = Some(Idempotency {
        key: "key".to_owned(),
        fingerprint: [7; 32],
        status: 202,
        expires_at: expired_at,
    });
    store
        .insert(vec![NewJob { idempotency, ..job }])
        .await
        .unwrap();
    let now = expired_at.after(Duration::from_secs(1));
    let mut taking = store.begin().await.unwrap();
    sqlx::query("UPDATE idempotency_keys SET expires_at = $1")
        .bind(now.after(Duration::from_secs(60)))
        .execute(&mut *taking)
        .await
        .unwrap();
    assert_eq!(store.delete_expired_keys(now, 10).await.unwrap(), 0);
    taking.commit().await.unwrap();
    assert_eq!(store.delete_expired_keys(now, 10).await.unwrap(), 0);
    let tenant = Tenant::default();
    assert!(
        store
            .has_idempotency_key(&tenant, "key", now)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_unique_key_that_is_given_back_while_it_is_asked_for_is_taken() {
    let store = with_schema().await;
    let unique = || NewJob {
        unique: Some(Unique {
            key: "key".to_owned(),
            mode: UniqueMode::WhileActive,
        }),
        ..new_job()
    };
    store.insert(vec![unique()]).await.unwrap();
    let mut giving_back = store.begin().await.unwrap();
    let locked = "SELECT 1 FROM unique_keys FOR UPDATE";
    giving_back.execute(locked).await.unwrap();
    let given_back = async {
        until_so_many_wait(&store, 1).await;
        giving_back
            .execute("DELETE FROM unique_keys")
            .await
            .unwrap();
        giving_back.commit().await.unwrap();
    };
    let second = unique();
    let job = second.id;
    let (inserted, ()) = tokio::join!(store.insert(vec![second]), given_back);
    assert_eq!(inserted.unwrap(), [Inserted::Stored { replaced: None }]);
    let third = store.insert(vec![unique()]).await.unwrap();
    assert_eq!(third, [Inserted::UniqueExists { job }]);
}

#[tokio::test]
async fn two_looks_at_once_for_the_jobs_of_a_dead_worker_are_one() {
    let store = with_a_job_of_a_dead_worker().await;
    let mut locking = store.begin().await.unwrap();
    locking.execute(LOCK_JOBS).await.unwrap();
    let unlocked = async {
        until_so_many_wait(&store, 2).await;
        locking.commit().await.unwrap();
    };
    let now = SystemClock.now();
    let (first, second, ()) = tokio::join!(store.rescue(now, 10), store.rescue(now, 10), unlocked);
    assert_eq!(
        first.unwrap().requeued.len() + second.unwrap().requeued.len(),
        1
    );
    let sweeps: i32 = sqlx::query_scalar("SELECT sweeps FROM leases")
        .fetch_one(&store.reader)
        .await
        .unwrap();
    assert_eq!(sweeps, 1, "the second is due a minute later");
}

#[tokio::test]
async fn looking_for_the_jobs_of_a_dead_worker_may_take_long() {
    let patient = with_a_job_of_a_dead_worker().await;
    let mut locking = patient.begin().await.unwrap();
    locking.execute(LOCK_JOBS).await.unwrap();
    // Beyond it, and beyond the server's own limit, which is twice this.
    let deadline = Duration::from_millis(400);
    let store = connected_anew(&patient, 2, deadline).await;
    let unlocked = async {
        tokio::time::sleep(deadline * 4).await;
        locking.commit().await.unwrap();
    };
    let (rescued, ()) = tokio::join!(store.rescue(SystemClock.now(), 10), unlocked);
    assert_eq!(rescued.unwrap().requeued.len(), 1);
}

#[tokio::test]
async fn what_may_take_long_is_not_waited_for_over_a_dead_connection() {
    let with_job = with_a_job_of_a_dead_worker().await;
    let mut url = url_of(&with_job).await;
    let server = url.socket_addrs(|| Some(5432)).unwrap()[0];
    let proxy = TestProxy::to(&server.to_string()).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.port())).unwrap();
    let deadline = Duration::from_millis(400);
    let store = connected(&url, 2, deadline);
    store.delete_ended_leases().await.unwrap();

    proxy.abandon_connections();
    let asking = async {
        while store.rescue(SystemClock.now(), 10).await.is_err() {}
        proxy.abandon_connections();
        while store.take_census().await.is_err() {}
    };
    tokio::time::timeout(deadline * 8, asking).await.unwrap();
    let left = with_job.rescue(SystemClock.now(), 10).await.unwrap();
    assert_eq!(left, Rescued::default());
}

const LOCK_JOBS: &str = "SELECT 1 FROM jobs FOR UPDATE";

/// A job runs under a lease that has ended.
async fn with_a_job_of_a_dead_worker() -> PostgresStore {
    let store = with_schema().await;
    let (lease, job) = (LeaseId::generate(&SystemClock), new_job());
    let (id, kind, now) = (job.id, job.kind.clone(), job.created_at);
    store.insert(vec![job]).await.unwrap();
    let duration = Duration::from_secs(600);
    store.open_lease(lease, "a-worker", duration).await.unwrap();
    store.claim(lease, &[id], &[kind], now).await.unwrap();
    store.close_lease(lease).await.unwrap();
    store
}

/// Another store on the database of this one.
pub(super) async fn connected_anew(
    store: &PostgresStore,
    connections: u32,
    deadline: Duration,
) -> PostgresStore {
    connected(&url_of(store).await, connections, deadline)
}

async fn url_of(store: &PostgresStore) -> Url {
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    let server = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
    let mut url: Url = server.parse().unwrap();
    url.set_path(&name);
    url
}

fn connected(url: &Url, connections: u32, deadline: Duration) -> PostgresStore {
    let settings = PostgresSettings {
        url: url.to_string().into(),
        connections,
        deadline,
    };
    PostgresStore::connect(&settings).unwrap()
}

async fn with_schema() -> PostgresStore {
    let store = empty_postgres().await;
    store.migrate().await.unwrap();
    store
}

/// Returns once so many transactions wait for what others have locked.
async fn until_so_many_wait(store: &PostgresStore, count: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let asked = Instant::now();
    while count
        != sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&store.reader)
            .await
            .unwrap()
    {
        assert!(asked.elapsed() < Duration::from_secs(10), "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_transaction_whose_client_is_gone_gives_back_what_it_has_locked() {
    let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
    let store = PostgresStore::connect(&PostgresSettings {
        url: url.into(),
        // Two of them for moves: one is gone, and the other waits for what it holds.
        connections: 4,
        deadline: Duration::from_millis(500),
    });
    let store = store.unwrap();
    // A number that no other test locks.
    let lock = "SELECT pg_advisory_xact_lock(7135246)";
    let mut gone = store.begin().await.unwrap();
    gone.execute(lock).await.unwrap();
    let begun = Instant::now();
    // Nothing more is heard of it, and it is not dropped.
    while store.writer.execute(lock).await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it is locked for good"
        );
    }
    drop(gone);
}
