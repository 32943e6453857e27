//! A store in a temporary directory, a queue, and workers on them.

use std::time::Duration;

use coatcheck_shared::{
    backend::Backend,
    clock::Clock,
    job::{Job, JobId, JobResult, Metadata, NewJob, Priority, QueueName, State, Tenant},
    queue::{End, Hint, Lane},
    settings::{Settings, load_from},
    store::{CHUNK_SIZE, ResultLookup},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::script::Script;
use crate::{KindPayload, Registry, Worker, WorkerError, WorkerStatus};

/// Longer than anything here takes, however busy the machine is.
pub(super) const LONG: Duration = Duration::from_secs(30);

pub(super) struct Bed {
    pub(super) backend: Backend,
    pub(super) settings: Settings,
    _directory: TempDir,
}

/// A worker that has been started.
pub(super) struct Started {
    pub(super) status: WorkerStatus,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl Started {
    /// Tells it to end, and waits until it has.
    pub(super) async fn end(self) -> Result<(), WorkerError> {
        self.shutdown.cancel();
        timeout(LONG, self.task).await.unwrap().unwrap()
    }

    /// Kills it: nothing of it runs on, nothing is handed back.
    pub(super) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

impl Bed {
    /// With quick keepers and these settings over them.
    pub(super) async fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let quick = "keepers.sweep_s = 0.05\n\
                     keepers.hint_grace_s = 0.2\n\
                     jobs.backoff.base_s = 0.01\n\
                     jobs.backoff.cap_s = 0.05\n\
                     worker.cancel_grace_s = 1\n";
        // The machine may be busy, and only some tests are about a database that does not answer.
        let patient = if settings.contains("store.deadline_s") {
            ""
        } else {
            "store.deadline_s = 10.0\n"
        };
        let mut settings = load_from(&format!("{quick}{patient}{settings}")).unwrap();
        settings.data_dir = directory.path().to_owned();
        let backend = Backend::open(&settings).await.unwrap();
        Self {
            backend,
            settings,
            _directory: directory,
        }
    }

    /// Another connection to its database, beside the store.
    pub(super) async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.settings.data_dir.join("coatcheck.sqlite3"))
            .busy_timeout(Duration::from_secs(10));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    pub(super) fn start(&self, registry: Registry) -> Started {
        let name = "test".to_owned();
        let worker = Worker::new(self.backend.clone(), registry, &self.settings, name);
        let shutdown = CancellationToken::new();
        Started {
            status: worker.status(),
            task: tokio::spawn(worker.run(shutdown.clone())),
            shutdown,
        }
    }

    /// A job of the kind `script`, not yet stored.
    pub(super) fn job(&self, script: &Script) -> NewJob {
        self.job_of(script)
    }

    pub(super) fn job_of<P: KindPayload + serde::Serialize>(&self, payload: &P) -> NewJob {
        let now = self.backend.clock.now();
        NewJob {
            id: JobId::generate(&self.backend.clock),
            tenant: Tenant::default(),
            kind: P::KIND.parse().unwrap(),
            queue: QueueName::default(),
            priority: Priority::Normal,
            payload_type: "application/json".to_owned(),
            payload: serde_json::to_vec(payload).unwrap().into(),
            created_at: now,
            run_at: now,
            max_attempts: 3,
            timeout: None,
            start_by: None,
            deadline_at: None,
            retain: Duration::from_secs(600),
            metadata: Metadata::default(),
            traceparent: None,
            idempotency: None,
            unique: None,
        }
    }

    /// Stores jobs and pushes their hints, as the API does.
    pub(super) async fn submit(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        let hints: Vec<Hint> = jobs
            .iter()
            .map(|job| Hint {
                id: job.id,
                lane: Lane {
                    queue: job.queue.clone(),
                    priority: job.priority,
                },
            })
            .collect();
        let ids = self.store(jobs).await;
        self.backend.queue.push(&hints, End::Back).await.unwrap();
        ids
    }

    /// Stores jobs whose hints are lost.
    pub(super) async fn store(&self, jobs: Vec<NewJob>) -> Vec<JobId> {
        let ids = jobs.iter().map(|job| job.id).collect();
        let store = &self.backend.store;
        for queue in jobs.iter().map(|job| &job.queue).take(1) {
            store.create_queue(queue).await.unwrap();
        }
        store.insert(jobs).await.unwrap();
        ids
    }

    pub(super) async fn submit_one(&self, job: NewJob) -> JobId {
        self.submit(vec![job]).await[0]
    }

    pub(super) async fn run(&self, script: Script) -> JobId {
        self.submit_one(self.job(&script)).await
    }

    pub(super) async fn get(&self, id: JobId) -> Job {
        let tenant = Tenant::default();
        self.backend.store.get(&tenant, id).await.unwrap().unwrap()
    }

    pub(super) async fn result(&self, id: JobId) -> JobResult {
        let lookup = self.backend.store.result(&Tenant::default(), id).await;
        match lookup.unwrap() {
            ResultLookup::Found { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    /// The bytes of a result of the first attempt, wherever they are.
    pub(super) async fn bytes_of(&self, result: &JobResult, id: JobId) -> Vec<u8> {
        match result.body.inline() {
            Some(bytes) => bytes.to_vec(),
            None => self.stored(id, 1).await,
        }
    }

    /// What lies in chunks under an attempt.
    pub(super) async fn stored(&self, id: JobId, attempt: u32) -> Vec<u8> {
        let mut body = Vec::new();
        let store = &self.backend.store;
        for sequence in 0.. {
            let chunk = store.body_chunk(id, attempt, sequence, 0..CHUNK_SIZE);
            match chunk.await.unwrap() {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        body
    }

    /// The job once it is at its end.
    pub(super) async fn finished(&self, id: JobId) -> Job {
        self.once(id, State::is_terminal).await
    }

    /// The job once its state is as asked.
    pub(super) async fn once(&self, id: JobId, is_it: impl Fn(State) -> bool) -> Job {
        let given_up_at = Instant::now() + LONG;
        loop {
            let job = self.get(id).await;
            if is_it(job.lifecycle.state) {
                return job;
            }
            assert!(Instant::now() < given_up_at, "still {:?}", job.lifecycle);
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let given_up_at = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < given_up_at, "never came: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
