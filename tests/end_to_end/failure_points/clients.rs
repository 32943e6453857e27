//! Clients that use everything there is, go on while processes die under them, and remember what
//! they were answered.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use coatcheck_tests::{
    client::{Answer, Client},
    deployment::Deployment,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The key of all of them.
pub(super) const KEY: &str = "a-key-for-tests-only";

/// How many unfinished jobs there may be: as many as one batch has, but for one.
pub(super) const QUOTA: usize = 999;

const CLIENTS: usize = 3;
/// How many jobs each of them leaves open: more would be a backlog.
const OPEN: usize = 6;
const MAX_ATTEMPTS: u64 = 4;
const LIMIT: Duration = Duration::from_secs(90);

/// What was promised.
#[derive(Default)]
struct Promised {
    /// The job of each idempotency key that was answered.
    jobs: BTreeMap<String, String>,
    /// The first end that was seen of each job.
    ends: BTreeMap<String, Value>,
}

struct Shared {
    client: Client,
    address: Mutex<SocketAddr>,
    stop: AtomicBool,
    next: AtomicU64,
    promised: Mutex<Promised>,
}

pub(super) struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Clients {
    pub(super) fn start(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            client: Client::new(address).unwrap(),
            address: Mutex::new(address),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(0),
            promised: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..CLIENTS {
            let shared = shared.clone();
            tasks.spawn(async move {
                let mut open = VecDeque::new();
                while !shared.stop.load(Ordering::Relaxed) {
                    shared.use_everything(&mut open).await;
                }
            });
        }
        Self { shared, tasks }
    }

    /// Goes on at the process that serves the API now.
    pub(super) fn move_to(&self, deployment: &mut Deployment) {
        if let Some(api) = deployment.apis().first() {
            *self.shared.address.lock().unwrap() = api.address();
        }
    }

    /// Whether a worker has a job in hand.
    pub(super) async fn something_runs(&self) -> bool {
        let path = "/v1/jobs?state=running&limit=1";
        let answer = self.shared.ask(Method::GET, path, None).await;
        answer.is_some_and(|answer| answer.json()["items"][0]["id"].is_string())
    }

    /// Stops, waits for every job to end, and holds what is against what was promised.
    pub(super) async fn finish(mut self, client: Client) -> String {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let promised = std::mem::take(&mut *self.shared.promised.lock().unwrap());
        assert!(
            promised.jobs.len() > 50,
            "only {} jobs",
            promised.jobs.len()
        );
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        for id in promised.jobs.values() {
            let job = end_of(&client, id).await;
            let state = job["state"].as_str().unwrap();
            if let Some(seen) = promised.ends.get(id) {
                assert_eq!(seen, &end(&job), "the end of {id} has changed");
            }
            assert!(job["attempt"].as_u64().unwrap() <= MAX_ATTEMPTS, "{job}");
            // A job whose worker was killed too often may fail, and may say so.
            let kind = job["error"]["type"].as_str().unwrap_or("none");
            let fair = state == "succeeded"
                || ["crash-limit", "worker-lost"].contains(&kind)
                || (state == "failed" && kind == "error");
            assert!(fair, "{job}");
            *states.entry(format!("{state} ({kind})")).or_default() += 1;
        }
        let mut ids: Vec<&String> = promised.jobs.values().collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), promised.jobs.len(), "one job for two keys");
        format!("{} jobs: {states:?}", promised.jobs.len())
    }
}

/// What must not change once a job is at its end.
fn end(job: &Value) -> Value {
    json!([
        job["state"],
        job["attempt"],
        job["finished_at"],
        job["error"]
    ])
}

async fn end_of(client: &Client, id: &str) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let path = format!("/v1/jobs/{id}");
        let request = client.request(Method::GET, &path).bearer_auth(KEY);
        let answer = client.send(request).await.unwrap();
        assert_ne!(answer.status, 404, "an accepted job is unknown: {id}");
        let job = answer.json();
        if job["finished_at"].is_string() {
            return job;
        }
        assert!(begun.elapsed() < LIMIT, "it does not end: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Shared {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Answer> {
        let client = self.client.at(*self.address.lock().unwrap());
        let mut request = client.request(method, path).bearer_auth(KEY);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        match client.send(request.timeout(Duration::from_secs(10))).await {
            Ok(answer) => Some(answer),
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }

    /// Submits under a key until it is accepted; the job's id, none where the clients stop first.
    async fn submit(&self, mut submission: Value) -> Option<String> {
        let key = format!("key-{}", self.next.fetch_add(1, Ordering::Relaxed));
        submission["max_attempts"] = json!(MAX_ATTEMPTS);
        while !self.stop.load(Ordering::Relaxed) {
            let client = self.client.at(*self.address.lock().unwrap());
            let request = client
                .request(Method::POST, "/v1/jobs")
                .bearer_auth(KEY)
                .header("content-type", "application/json")
                .header("idempotency-key", &key)
                .header("prefer", "wait=1")
                .timeout(Duration::from_secs(10))
                .body(submission.to_string());
            if let Ok(answer) = client.send(request).await
                && [200, 202].contains(&answer.status)
            {
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                self.promised.lock().unwrap().jobs.insert(key, id.clone());
                return Some(id);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Looks at a job that was accepted, in every way; whether it has ended.
    async fn look_at(&self, id: &str) -> bool {
        let path = format!("/v1/jobs/{id}");
        let mut ended = false;
        if let Some(answer) = self.ask(Method::GET, &path, None).await {
            assert_ne!(answer.status, 404, "an accepted job is unknown: {id}");
            let job = answer.json();
            if answer.status == 200 && job["finished_at"].is_string() {
                let mut promised = self.promised.lock().unwrap();
                let seen = promised
                    .ends
                    .entry(id.to_owned())
                    .or_insert_with(|| end(&job));
                assert_eq!(*seen, end(&job), "the end of {id} has changed");
                ended = true;
            }
        }
        for part in ["attempts", "logs", "result"] {
            self.ask(Method::GET, &format!("{path}/{part}"), None).await;
        }
        ended
    }

    async fn use_everything(&self, open: &mut VecDeque<String>) {
        for submission in [
            json!({"kind": "sleep", "payload": {"ms": 30}}),
            // Its payload lies beside its row, and so does its result.
            json!({"kind": "command", "payload": {"command": "large", "input": "x".repeat(40_000)}}),
            json!({"kind": "command", "payload": {"command": "talkative"}}),
            json!({"kind": "sleep", "payload": {"ms": 1_200}}),
        ] {
            let Some(id) = self.submit(submission).await else {
                return;
            };
            self.look_at(&id).await;
            open.push_back(id);
        }
        while let Some(oldest) = open.front().filter(|_| open.len() > OPEN) {
            if self.look_at(oldest).await {
                open.pop_front();
            } else if self.stop.load(Ordering::Relaxed) {
                return;
            } else {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        self.move_throwaways().await;
        self.submit_too_many().await;
        for path in [
            "/v1/jobs",
            "/v1/kinds",
            "/v1/queues",
            "/v1/keys",
            "/readyz",
            "/metrics",
        ] {
            self.ask(Method::GET, path, None).await;
        }
        let key = json!({"tenant": "default", "scopes": ["jobs:read"]});
        if let Some(made) = self.ask(Method::POST, "/v1/keys", Some(&key)).await
            && made.status == 201
        {
            let location = made.header("location").to_owned();
            self.ask(Method::DELETE, &location, None).await;
        }
    }

    /// There is no room for them: whether they came before under their key has to be looked up.
    async fn submit_too_many(&self) {
        let job = json!({"kind": "sleep", "payload": {"ms": 1}});
        let batch = json!({"jobs": vec![job; QUOTA + 1], "atomic": true});
        let request = self
            .client
            .at(*self.address.lock().unwrap())
            .request(Method::POST, "/v1/jobs/batch")
            .bearer_auth(KEY)
            .header("content-type", "application/json")
            .header("idempotency-key", "too-many")
            .timeout(Duration::from_secs(10))
            .body(batch.to_string());
        if let Ok(answer) = self.client.send(request).await {
            assert!(answer.status >= 400, "there was room: {}", answer.status);
        }
    }

    /// Jobs that are moved about and deleted, one by one and many at once: nothing is promised of
    /// them but an answer.
    async fn move_throwaways(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let queue = format!("throwaway-{}", number % 40);
        let later = json!({"kind": "sleep", "payload": {"ms": 1}, "queue": queue, "delay_s": 600});
        if let Some(answer) = self.ask(Method::POST, "/v1/jobs", Some(&later)).await
            && let Some(id) = answer.json()["id"].as_str()
        {
            let path = format!("/v1/jobs/{id}");
            self.ask(Method::POST, &format!("{path}/cancel"), None)
                .await;
            self.ask(Method::POST, &format!("{path}/retry"), None).await;
            self.ask(Method::POST, &format!("{path}/cancel"), None)
                .await;
            self.ask(Method::DELETE, &path, None).await;
        }
        let batch = json!({"jobs": [later, later], "atomic": true});
        self.ask(Method::POST, "/v1/jobs/batch", Some(&batch)).await;
        for (method, path) in [
            (Method::POST, "/v1/jobs/cancel"),
            (Method::POST, "/v1/jobs/retry"),
            (Method::POST, "/v1/jobs/cancel"),
            (Method::DELETE, "/v1/jobs"),
        ] {
            self.ask(method, &format!("{path}?queue={queue}"), None)
                .await;
        }
        let soon = json!({"kind": "sleep", "payload": {"ms": 1}, "queue": queue, "delay_s": 1});
        self.ask(Method::POST, "/v1/jobs", Some(&soon)).await;
    }
}
