//! Jobs that are submitted all the while, each repeated under its Idempotency-Key until it is
//! accepted, as a careful client does.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use coatcheck_tests::{
    http_get::{http_get, http_post},
    pause,
};
use serde_json::Value;

use crate::Result;

/// How many submit side by side.
const CLIENTS: u64 = 3;
/// How long a request is repeated. What was sent and not answered may be a job: nobody gives up
/// because the test is over.
const PATIENCE: Duration = Duration::from_secs(90);

/// The running submissions.
pub(super) struct Stream {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// The jobs that were answered 202.
    accepted: Mutex<Vec<String>>,
    repeated: AtomicU64,
    /// Answers that must never be.
    wrong: Mutex<Vec<String>>,
}

/// What was seen up to a moment.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    /// Submissions that were answered 202.
    pub(super) accepted: u64,
    /// Requests that were sent again, after a broken connection or a 503.
    pub(super) repeated: u64,
}

impl Tally {
    /// What was seen since an earlier moment.
    pub(super) const fn since(self, earlier: Self) -> Self {
        Self {
            accepted: self.accepted - earlier.accepted,
            repeated: self.repeated - earlier.repeated,
        }
    }
}

impl Stream {
    /// Begins to submit.
    pub(super) fn start(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = (0..CLIENTS)
            .map(|client| {
                let shared = shared.clone();
                thread::spawn(move || shared.submit_all(address, client))
            })
            .collect();
        Self { shared, clients }
    }

    /// What was seen so far.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            accepted: locked(&self.shared.accepted).len() as u64,
            repeated: self.shared.repeated.load(Ordering::Relaxed),
        }
    }

    /// Ends; the ids of all that was accepted.
    ///
    /// # Errors
    /// Where an answer was one that must never be.
    pub(super) fn end(mut self) -> Result<Vec<String>> {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().map_err(|_| "a client has panicked")?;
        }
        let wrong = locked(&self.shared.wrong);
        if wrong.is_empty() {
            return Ok(locked(&self.shared.accepted).clone());
        }
        Err(wrong.join("\n").into())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn submit_all(&self, address: SocketAddr, client: u64) {
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            // Long enough that some are running whatever happens.
            let body = format!(
                r#"{{"kind":"sleep","payload":{{"ms":{}}}}}"#,
                number % 20 * 50
            );
            let key = format!("{client}-{number}");
            let Some(id) = self.until_answered(202, || http_post(address, "/v1/jobs", &key, &body))
            else {
                return;
            };
            locked(&self.accepted).push(id.clone());
            self.until_answered(200, || http_get(address, &format!("/v1/jobs/{id}")));
            pause();
        }
    }

    /// Repeats a request until it is answered as it should be; the job's id. None where it is never.
    fn until_answered(
        &self,
        right: u16,
        ask: impl Fn() -> Result<(u16, String)>,
    ) -> Option<String> {
        let begun = Instant::now();
        loop {
            match ask() {
                Ok((status, body)) if status == right => {
                    let job: Value = serde_json::from_str(&body).unwrap_or_default();
                    return job["id"].as_str().map(str::to_owned);
                }
                Ok((503, _)) | Err(_) => {}
                Ok((status, body)) => {
                    locked(&self.wrong).push(format!("{status} instead of {right}: {body}"));
                    return None;
                }
            }
            if begun.elapsed() > PATIENCE {
                locked(&self.wrong).push(format!("no answer of {right} in {PATIENCE:?}"));
                return None;
            }
            self.repeated.fetch_add(1, Ordering::Relaxed);
            pause();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
