//! The server under test, and what a worker would do to its jobs.

use std::{net::SocketAddr, time::Duration};

use coatcheck_api::{ServeError, Server};
use coatcheck_shared::{
    backend::Backend,
    clock::Clock,
    job::{Failure, JobId, JobResult, KindName, LeaseId, NewJob, Outcome, failure::FailureType},
    settings::{Settings, load_from},
    signal::Signal,
    store::Finish,
    timestamp::Timestamp,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Connection};

/// A server, stopped when it is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) backend: Backend,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: Option<JoinHandle<Result<(), ServeError>>>,
    directory: TempDir,
}

/// A running attempt.
pub(crate) struct Running {
    pub(crate) id: JobId,
    pub(crate) lease: LeaseId,
    pub(crate) attempt: u32,
    pub(crate) started_at: Timestamp,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    pub(crate) async fn start_with(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings: Settings = load_from(settings).unwrap();
        settings.data_dir = directory.path().to_owned();
        settings.listen = "127.0.0.1:0".parse().unwrap();
        let backend = Backend::open(&settings).await.unwrap();
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let server = Server::bind(backend.clone(), &settings, metrics).unwrap();
        let address = server.address();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server.run(shutdown.clone()));
        Self {
            address,
            backend,
            shutdown,
            running: Some(running),
            directory,
        }
    }

    pub(crate) fn database_file(&self) -> std::path::PathBuf {
        self.directory.path().join("coatcheck.sqlite3")
    }

    /// One exchange on a connection of its own. `head` are further lines of it.
    pub(crate) async fn send(&self, method: &str, target: &str, head: &str, body: &str) -> Answer {
        let mut connection = Connection::open(self.address).await;
        let length = if body.is_empty() && method != "POST" {
            String::new()
        } else {
            format!("content-length: {}\r\n", body.len())
        };
        connection
            .send(format!(
                "{method} {target} HTTP/1.1\r\nhost: test\r\n{length}{head}\r\n{body}"
            ))
            .await;
        connection.answer(method == "HEAD").await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", "").await
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.post_with("", body).await
    }

    pub(crate) async fn post_with(&self, head: &str, body: &str) -> Answer {
        let head = format!("content-type: application/json\r\n{head}");
        self.send("POST", "/v1/jobs", &head, body).await
    }

    /// Submits a job that sleeps, with further fields.
    pub(crate) async fn submit(&self, fields: &str) -> JobId {
        let body = format!("{{\"kind\":\"sleep\",\"payload\":{{\"ms\":1}}{fields}}}");
        let answer = self.post(&body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        id_of(&answer.json())
    }

    /// Claims a job, as a worker does.
    pub(crate) async fn claim(&self, id: JobId) -> Running {
        let store = &self.backend.store;
        let lease = LeaseId::generate(&self.backend.clock);
        store
            .open_lease(lease, "test", Duration::from_secs(60))
            .await
            .unwrap();
        let kinds: Vec<KindName> = ["sleep", "http", "command"]
            .iter()
            .map(|kind| kind.parse().unwrap())
            .collect();
        let now = self.backend.clock.now();
        let claimed = store.claim(lease, &[id], &kinds, now).await.unwrap();
        Running {
            id,
            lease,
            attempt: claimed[0].attempt,
            started_at: claimed[0].started_at,
        }
    }

    /// Ends an attempt, as a worker does.
    pub(crate) async fn finish(&self, running: &Running, outcome: Outcome) {
        let finish = running.finish(self, outcome);
        self.backend.store.finish(vec![finish]).await.unwrap();
        let signal = Signal::Finished(vec![running.id]);
        self.backend.signals.publish(signal).await.unwrap();
    }

    pub(crate) async fn succeed(&self, id: JobId, result: JobResult) {
        let running = self.claim(id).await;
        self.finish(&running, Outcome::Succeeded(result)).await;
    }

    pub(crate) async fn fail(&self, id: JobId) {
        let running = self.claim(id).await;
        let failure = Failure::new(FailureType::Error, "out of order");
        self.finish(&running, Outcome::Failed(failure)).await;
    }

    /// The newest job, as soon as there is one.
    pub(crate) async fn newest_job(&self) -> JobId {
        loop {
            let list = self.get("/v1/jobs?limit=1").await.json();
            if let Some(job) = list["items"].get(0) {
                return id_of(job);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A job of another tenant.
    pub(crate) async fn job_of_another(&self) -> JobId {
        let now = self.backend.clock.now();
        let id = JobId::generate(&self.backend.clock);
        let job = NewJob {
            id,
            tenant: "another".parse().unwrap(),
            kind: "sleep".parse().unwrap(),
            queue: "default".parse().unwrap(),
            priority: Default::default(),
            payload_type: "application/json".to_owned(),
            payload: "{}".into(),
            created_at: now,
            run_at: now,
            max_attempts: 1,
            timeout: None,
            start_by: None,
            deadline_at: None,
            retain: Duration::from_secs(60),
            metadata: Default::default(),
            traceparent: None,
            idempotency: None,
            unique: None,
        };
        self.backend.store.insert(vec![job]).await.unwrap();
        id
    }
}

impl Running {
    /// The end of the attempt, yet to be recorded.
    pub(crate) fn finish(&self, service: &Service, outcome: Outcome) -> Finish {
        Finish {
            id: self.id,
            attempt: self.attempt,
            lease: self.lease,
            started_at: self.started_at,
            finished_at: service.backend.clock.now(),
            outcome,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The id of a job's representation.
pub(crate) fn id_of(job: &Value) -> JobId {
    job["id"].as_str().unwrap().parse().unwrap()
}
