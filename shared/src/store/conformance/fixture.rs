//! A store of one's own for each test, and what most of them do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, Executor, PgConnection};

use crate::{
    clock::{Clock, SystemClock},
    job::{
        ClaimedJob, Failure, Job, JobId, JobResult, KindName, LeaseId, NewJob, Outcome, State,
        Tenant, failure::FailureType,
    },
    store::{
        Finish, FinishOutcome, Rescued, Store,
        postgres::{PostgresSettings, PostgresStore},
        sqlite::{SqliteSettings, SqliteStore},
    },
    timestamp::Timestamp,
};

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A new, empty store.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

pub(super) async fn sqlite() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings {
        path: folder.path().join("test.sqlite3"),
        readers: 4,
        deadline: DEADLINE,
    };
    Fixture {
        store: Arc::new(SqliteStore::open(&settings).await.unwrap()),
        _folder: Some(folder),
    }
}

pub(super) async fn postgres() -> Fixture {
    let store = empty_postgres().await;
    store.check_schema().await.unwrap_err();
    store.migrate().await.unwrap();
    store.check_schema().await.unwrap();
    Fixture {
        store: Arc::new(store),
        _folder: None,
    }
}

/// A database of its own, without a schema, in the server that TEST_DATABASE_URL names.
pub(in crate::store) async fn empty_postgres() -> PostgresStore {
    let server = std::env::var("TEST_DATABASE_URL").expect(
        "TEST_DATABASE_URL names a Postgres in which databases may be made; \
         `cargo xtask test` starts one",
    );
    let name = format!(
        "conformance_{}",
        JobId::generate(&SystemClock).as_uuid().simple()
    );
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection
        .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .await
        .unwrap();
    let mut url: url::Url = server.parse().unwrap();
    url.set_path(&name);
    let settings = PostgresSettings {
        url: SecretString::from(url.to_string()),
        connections: 8,
        deadline: DEADLINE,
    };
    assert!(settings.url.expose_secret().contains(&name));
    PostgresStore::connect(&settings).unwrap()
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

pub(super) fn tenant() -> Tenant {
    Tenant::default()
}

pub(super) fn kinds() -> Vec<KindName> {
    vec!["test".parse().unwrap()]
}

/// A job of the kind `test` that may start at once.
pub(crate) fn new_job() -> NewJob {
    let created_at = now();
    NewJob {
        id: JobId::generate(&SystemClock),
        tenant: tenant(),
        kind: "test".parse().unwrap(),
        queue: "default".parse().unwrap(),
        priority: crate::job::Priority::Normal,
        payload_type: "application/json".to_owned(),
        payload: Bytes::from_static(b"{}"),
        created_at,
        run_at: created_at,
        max_attempts: 3,
        timeout: None,
        start_by: None,
        deadline_at: None,
        retain: Duration::from_secs(3_600),
        metadata: [].into(),
        traceparent: None,
        idempotency: None,
        unique: None,
    }
}

/// The end of this attempt, now.
pub(in crate::store) fn finish(job: &ClaimedJob, outcome: Outcome) -> Finish {
    Finish {
        id: job.id,
        attempt: job.attempt,
        lease: job.lease,
        finished_at: now(),
        outcome,
    }
}

pub(super) fn success() -> Outcome {
    Outcome::Succeeded(JobResult::new("text/plain", "done"))
}

/// Bytes that no two neighbouring chunks have in common.
pub(super) fn noise(size: usize) -> Bytes {
    (0..size).map(|index| (index % 251) as u8).collect()
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureType::Error, "it went wrong")
}

/// Another attempt, `milliseconds` from now.
pub(super) fn retry_in(milliseconds: u64) -> Outcome {
    let backoff = Duration::from_millis(milliseconds);
    Outcome::RetryAt {
        run_at: now().after(backoff),
        backoff,
        failure: failure(),
    }
}

impl Fixture {
    pub(super) async fn insert(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.store.insert(vec![job]).await.unwrap();
        id
    }

    pub(super) async fn insert_many(&self, count: usize) -> Vec<JobId> {
        let jobs: Vec<NewJob> = (0..count).map(|_| new_job()).collect();
        let ids = jobs.iter().map(|job| job.id).collect();
        self.store.insert(jobs).await.unwrap();
        ids
    }

    pub(super) async fn lease(&self) -> LeaseId {
        let lease = LeaseId::generate(&SystemClock);
        self.store
            .open_lease(lease, "a-worker", Duration::from_secs(600))
            .await
            .unwrap();
        lease
    }

    pub(super) async fn claim(&self, lease: LeaseId, ids: &[JobId]) -> Vec<ClaimedJob> {
        self.store.claim(lease, ids, &kinds(), now()).await.unwrap()
    }

    pub(super) async fn claim_suspects(&self, lease: LeaseId, ids: &[JobId]) -> Vec<ClaimedJob> {
        let (store, kinds) = (&self.store, kinds());
        store
            .claim_suspects(lease, ids, &kinds, now())
            .await
            .unwrap()
    }

    /// Ends a lease, and takes back what ran under it.
    pub(super) async fn lose(&self, lease: LeaseId) -> Rescued {
        self.store.close_lease(lease).await.unwrap();
        self.store.rescue(now(), 100).await.unwrap()
    }

    /// A job that runs.
    pub(super) async fn running(&self, lease: LeaseId) -> ClaimedJob {
        self.running_as(lease, new_job()).await
    }

    pub(super) async fn running_as(&self, lease: LeaseId, job: NewJob) -> ClaimedJob {
        let id = self.insert(job).await;
        self.claim(lease, &[id]).await.pop().expect("it is queued")
    }

    pub(super) async fn finish(&self, job: &ClaimedJob, outcome: Outcome) -> FinishOutcome {
        let outcomes = self.store.finish(vec![finish(job, outcome)]).await.unwrap();
        outcomes[0]
    }

    pub(super) async fn get(&self, id: JobId) -> Job {
        self.store
            .get(&tenant(), id)
            .await
            .unwrap()
            .expect("the job is there")
    }

    pub(super) async fn state(&self, id: JobId) -> State {
        self.get(id).await.lifecycle.state
    }
}
