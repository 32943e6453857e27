//! A store of one's own for each test, and what most of them do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use url::Url;

use crate::{
    clock::{Clock, SystemClock},
    job::{
        Body, ClaimedJob, Failure, Job, JobId, JobResult, KindName, LeaseId, NewJob, Outcome,
        State, Tenant, failure::FailureType,
    },
    store::{
        CHUNK_SIZE, Finish, FinishOutcome, PAYLOAD_ATTEMPT, Rescued, Store,
        postgres::{PostgresSettings, PostgresStore},
        sqlite::{SqliteSettings, SqliteStore},
    },
    timestamp::Timestamp,
};

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// SQLite's file.
const FILE: &str = "test.sqlite3";

/// A new, empty store.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn Store>,
    database: Database,
}

/// Where the store's rows are.
enum Database {
    /// In this folder.
    Sqlite(TempDir),
    /// There.
    Postgres(Url),
}

pub(super) async fn sqlite() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings {
        path: folder.path().join(FILE),
        readers: 4,
        deadline: DEADLINE,
    };
    Fixture {
        store: Arc::new(SqliteStore::open(&settings).await.unwrap()),
        database: Database::Sqlite(folder),
    }
}

pub(super) async fn postgres() -> Fixture {
    let url = empty_database().await;
    let store = connected(&url);
    store.check_schema().await.unwrap_err();
    store.migrate().await.unwrap();
    store.check_schema().await.unwrap();
    Fixture {
        store: Arc::new(store),
        database: Database::Postgres(url),
    }
}

/// A database of its own, without a schema, in the server that TEST_DATABASE_URL names.
pub(in crate::store) async fn empty_postgres() -> PostgresStore {
    connected(&empty_database().await)
}

async fn empty_database() -> Url {
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
    let mut url: Url = server.parse().unwrap();
    url.set_path(&name);
    url
}

fn connected(url: &Url) -> PostgresStore {
    let settings = PostgresSettings {
        url: SecretString::from(url.to_string()),
        connections: 8,
        deadline: DEADLINE,
    };
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
        started_at: job.started_at,
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

    /// Does to the rows what the store itself never does.
    pub(super) async fn execute(&self, sql: &'static str) {
        match &self.database {
            Database::Sqlite(folder) => {
                let file = SqliteConnectOptions::new().filename(folder.path().join(FILE));
                let connection = SqliteConnection::connect_with(&file).await;
                connection.unwrap().execute(sql).await.unwrap();
            }
            Database::Postgres(url) => {
                let connection = PgConnection::connect(url.as_str()).await;
                connection.unwrap().execute(sql).await.unwrap();
            }
        }
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

    /// The bytes of a body, wherever they are.
    pub(super) async fn read(&self, body: &Body, id: JobId, attempt: u32) -> Vec<u8> {
        let Body::Stored { size } = body else {
            return body.inline().unwrap().to_vec();
        };
        let mut bytes = Vec::new();
        for sequence in 0..size.div_ceil(CHUNK_SIZE as u64) {
            let chunk = self.chunk_of(id, attempt, sequence as u32).await;
            bytes.extend_from_slice(&chunk.expect("the chunk is there"));
        }
        assert_eq!(bytes.len() as u64, *size);
        bytes
    }

    pub(super) async fn payload_of(&self, job: &ClaimedJob) -> Vec<u8> {
        self.read(&job.payload, job.id, PAYLOAD_ATTEMPT).await
    }

    pub(super) async fn chunk_of(&self, id: JobId, attempt: u32, sequence: u32) -> Option<Bytes> {
        let whole = 0..CHUNK_SIZE;
        let chunk = self.store.body_chunk(id, attempt, sequence, whole);
        chunk.await.unwrap()
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
