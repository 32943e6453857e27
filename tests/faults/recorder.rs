//! A client that keeps every request with its answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client};
use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::time::timeout;

use super::history::{Answer, Exchange, JobSeen, Request};

/// The longest that a client waits for one answer before it gives up.
const PATIENCE: Duration = Duration::from_secs(6);

/// A job that was acknowledged, and what was last heard of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) state: String,
}

/// What all clients of a round share.
pub(crate) struct Recorder {
    /// When the driver was started: what times are counted from.
    pub(crate) epoch: Instant,
    /// Which round it is: every job carries it.
    pub(crate) round: String,
    pub(crate) apis: Vec<SocketAddr>,
    /// Set once no new jobs are to be made.
    pub(crate) is_over: AtomicBool,
    exchanges: Mutex<Vec<Exchange>>,
    known: Mutex<Vec<Known>>,
    never_accepted: Mutex<Vec<String>>,
}

impl Recorder {
    pub(crate) fn new(epoch: Instant, round: String, apis: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            round,
            apis,
            is_over: AtomicBool::new(false),
            exchanges: Mutex::default(),
            known: Mutex::default(),
            never_accepted: Mutex::default(),
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Asks, and keeps what comes back.
    pub(crate) async fn ask(
        &self,
        client: &Client,
        api: usize,
        request: Request,
        submission: Option<&Value>,
        prefer: Option<&str>,
    ) -> Result<Answer> {
        let client = client.at(self.apis[api]);
        let mut http = match &request {
            Request::Submit { key } => client
                .request(Method::POST, "/v1/jobs")
                .header("Idempotency-Key", format!("\"{key}\""))
                .header(CONTENT_TYPE, "application/json")
                .body(serde_json::to_vec(&submission)?),
            Request::Get { id } => client.request(Method::GET, &format!("/v1/jobs/{id}")),
            Request::Result { id } => client.request(Method::GET, &format!("/v1/jobs/{id}/result")),
            Request::Cancel { id } => {
                client.request(Method::POST, &format!("/v1/jobs/{id}/cancel"))
            }
            Request::Retry { id } => client.request(Method::POST, &format!("/v1/jobs/{id}/retry")),
        };
        if let Some(prefer) = prefer {
            http = http.header("Prefer", prefer);
        }
        let asked_at = self.now();
        let answer = answer_to(&client, &request, http).await;
        self.learn(&answer);
        lock(&self.exchanges).push(Exchange {
            api,
            asked_at,
            answered_at: self.now(),
            request,
            answer: answer.clone(),
        });
        Ok(answer)
    }

    fn learn(&self, answer: &Answer) {
        let (Some(200 | 202), Some(job)) = (answer.status(), answer.job()) else {
            return;
        };
        let mut known = lock(&self.known);
        match known.iter_mut().find(|known| known.id == job.id) {
            Some(known) => known.state.clone_from(&job.state),
            None => known.push(Known {
                id: job.id.clone(),
                state: job.state.clone(),
            }),
        }
    }

    /// Every job that has been acknowledged.
    pub(crate) fn known(&self) -> Vec<Known> {
        lock(&self.known).clone()
    }

    /// Notes a key that was asked for in vain until the end.
    pub(crate) fn give_up(&self, key: &str) {
        lock(&self.never_accepted).push(key.to_owned());
    }

    /// All that was asked, and the keys that were given up.
    pub(crate) fn take(&self) -> (Vec<Exchange>, Vec<String>) {
        (
            std::mem::take(&mut *lock(&self.exchanges)),
            std::mem::take(&mut *lock(&self.never_accepted)),
        )
    }
}

async fn answer_to(client: &Client, request: &Request, http: RequestBuilder) -> Answer {
    let answer = match timeout(PATIENCE, client.send(http)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            let connected = error
                .downcast_ref::<reqwest::Error>()
                .is_none_or(|error| !error.is_connect());
            return Answer::Nothing { connected };
        }
        Err(_) => return Answer::Nothing { connected: true },
    };
    let json = answer.json();
    let is_result = matches!(request, Request::Result { .. }) && answer.status == 200;
    Answer::Whole {
        status: answer.status,
        job: JobSeen::read(&json),
        body: if is_result {
            answer.text()
        } else {
            json["type"].as_str().unwrap_or_default().to_owned()
        },
        has_retry_after: !answer.header("retry-after").is_empty(),
        is_replay: answer.header("idempotent-replayed") == "true",
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
