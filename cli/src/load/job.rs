//! One job of a load test: submitted, and followed to its end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use coatcheck_shared::{
    clock::{Clock, SystemClock},
    job::State,
    timestamp::Timestamp,
};
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LOCATION},
};

use super::{
    client::{Answer, Client, Failure, Reservation},
    measurements::Measurements,
    plan::{Follow, Plan},
};

/// What a long poll asks for.
const LONG_POLL: &str = "wait=30";
/// How long that lets the server wait.
const LONG_POLL_S: u64 = 30;
/// The pause after a look at a job that failed, or was answered at once with an unfinished job.
const PAUSE: Duration = Duration::from_millis(100);
/// After so many failed looks in a row a job is given up.
const MOST_FAILURES: u32 = 20;
/// A long poll that ends sooner than this was cut short.
const SHORT_POLL: Duration = Duration::from_secs(1);

/// What the jobs of one load test share.
pub(crate) struct Jobs {
    plan: Plan,
    client: Arc<Client>,
    submission: Bytes,
    measurements: Mutex<Measurements>,
}

impl Jobs {
    /// The jobs of a plan.
    pub(crate) fn new(plan: Plan, client: Arc<Client>, start: Instant) -> Self {
        Self {
            submission: Bytes::from(plan.submission.clone()),
            plan,
            client,
            measurements: Mutex::new(Measurements::new(start)),
        }
    }

    /// What is to be done.
    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What does it.
    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// What was counted so far.
    pub(crate) fn measurements(&self) -> MutexGuard<'_, Measurements> {
        self.measurements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits a job and follows it; its latencies count from `since`. Says whether there was
    /// any answer.
    pub(crate) async fn run(&self, reservation: Reservation, since: Instant) -> bool {
        self.measurements().submitted += 1;
        let request = self.request(
            Method::POST,
            &format!("{}/v1/jobs", self.plan.target.prefix),
            self.submission.clone(),
            None,
        );
        let answer = self.exchange(&reservation, request, Duration::ZERO).await;
        match answer {
            Ok(answer) if matches!(answer.status, StatusCode::OK | StatusCode::ACCEPTED) => {
                self.measurements().accepted(since);
                self.follow(reservation, &answer, since).await;
            }
            Ok(answer) => self.measurements().refused(&answer),
            Err(failure) => {
                self.measurements().broken(&failure);
                return false;
            }
        }
        true
    }

    async fn follow(&self, reservation: Reservation, accepted: &Answer, since: Instant) {
        if matches!(self.plan.follow, Follow::Not { .. }) {
            return;
        }
        let location = accepted
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let Some(path) = location.map(path_of) else {
            self.measurements().broken(&Failure::Unreadable);
            return;
        };
        let state = match self.plan.follow {
            Follow::LongPoll => self.long_poll(&reservation, path).await,
            Follow::Poll { every } => {
                // A job that nobody asks about needs no connection.
                drop(reservation);
                self.poll(path, every).await
            }
            Follow::Not { .. } => None,
        };
        if let Some(state) = state {
            self.measurements().finished(since, state);
        }
    }

    async fn long_poll(&self, reservation: &Reservation, path: &str) -> Option<State> {
        let wait = HeaderValue::from_static(LONG_POLL);
        let mut failures = 0;
        loop {
            let asked = Instant::now();
            let asked_at = SystemClock.now();
            let request = self.request(Method::GET, path, Bytes::new(), Some(wait.clone()));
            let extra = Duration::from_secs(LONG_POLL_S);
            let answer = self.exchange(reservation, request, extra).await;
            if let Ok(answer) = &answer {
                self.count_wake_up(answer, asked_at);
            }
            match self.look(answer, &mut failures) {
                Look::Finished(state) => return Some(state),
                Look::Lost => return None,
                Look::NotYet if failures == 0 && asked.elapsed() > SHORT_POLL => {}
                Look::NotYet => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Counts how long it took to wake us, where we waited for the job's end.
    fn count_wake_up(&self, answer: &Answer, asked_at: Timestamp) {
        let now = SystemClock.now();
        if let Some(finished_at) = finish_of(&answer.body)
            && finished_at > asked_at
        {
            self.measurements().woken(now.since(finished_at));
        }
    }

    async fn poll(&self, path: &str, every: Duration) -> Option<State> {
        let mut failures = 0;
        loop {
            tokio::time::sleep(every).await;
            let reservation = self.client.reserve().await;
            let request = self.request(Method::GET, path, Bytes::new(), None);
            let answer = self.exchange(&reservation, request, Duration::ZERO).await;
            drop(reservation);
            match self.look(answer, &mut failures) {
                Look::Finished(state) => return Some(state),
                Look::Lost => return None,
                Look::NotYet => {}
            }
        }
    }

    fn look(&self, answer: Result<Answer, Failure>, failures: &mut u32) -> Look {
        let is_gone = matches!(&answer, Ok(answer) if answer.status == StatusCode::NOT_FOUND);
        match answer {
            Ok(answer) if answer.status == StatusCode::OK => match state_of(&answer.body) {
                Some(state) if state.is_terminal() => return Look::Finished(state),
                Some(_) => {
                    *failures = 0;
                    return Look::NotYet;
                }
                None => self.measurements().broken(&Failure::Unreadable),
            },
            Ok(answer) => self.measurements().refused(&answer),
            Err(failure) => self.measurements().broken(&failure),
        }
        *failures += 1;
        if is_gone || *failures >= MOST_FAILURES {
            Look::Lost
        } else {
            Look::NotYet
        }
    }

    /// Whether no job is waiting or running any more; none where that could not be learned.
    pub(crate) async fn is_drained(&self) -> Option<bool> {
        let reservation = self.client.reserve().await;
        let path = format!(
            "{}/v1/jobs?state=queued,running,scheduled&limit=1",
            self.plan.target.prefix
        );
        let request = self.request(Method::GET, &path, Bytes::new(), None);
        match self.exchange(&reservation, request, Duration::ZERO).await {
            Ok(answer) if answer.status.is_success() => {
                let page = serde_json::from_slice::<Page>(&answer.body).ok();
                if page.is_none() {
                    self.measurements().broken(&Failure::Unreadable);
                }
                page.map(|page| page.items.is_empty())
            }
            Ok(answer) => {
                self.measurements().refused(&answer);
                None
            }
            Err(failure) => {
                self.measurements().broken(&failure);
                None
            }
        }
    }

    async fn exchange(
        &self,
        reservation: &Reservation,
        request: Request<Full<Bytes>>,
        extra: Duration,
    ) -> Result<Answer, Failure> {
        self.measurements().requests += 1;
        reservation.exchange(request, extra).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        prefer: Option<HeaderValue>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        // A path that is none goes out as "/", and its 404 is counted.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, self.plan.target.authority.clone());
        if let Some(authorization) = &self.plan.target.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(prefer) = prefer {
            headers.insert("prefer", prefer);
        }
        *request.method_mut() = method;
        request
    }
}

enum Look {
    Finished(State),
    NotYet,
    Lost,
}

#[derive(serde::Deserialize)]
struct JobState<'a> {
    #[serde(borrow)]
    state: &'a str,
    #[serde(default)]
    finished_at: Option<&'a str>,
}

#[derive(serde::Deserialize)]
struct Page {
    items: Vec<serde::de::IgnoredAny>,
}

fn state_of(body: &[u8]) -> Option<State> {
    let job: JobState<'_> = serde_json::from_slice(body).ok()?;
    job.state.parse().ok()
}

fn finish_of(body: &[u8]) -> Option<Timestamp> {
    let job: JobState<'_> = serde_json::from_slice(body).ok()?;
    job.finished_at?.parse().ok()
}

/// The path of a `Location`, which may be a path already.
fn path_of(location: &str) -> &str {
    location.split_once("://").map_or(location, |(_, rest)| {
        rest.find('/').map_or("/", |slash| &rest[slash..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_or_a_url() {
        assert_eq!(path_of("/v1/jobs/1"), "/v1/jobs/1");
        assert_eq!(path_of("http://host:80/v1/jobs/1"), "/v1/jobs/1");
        assert_eq!(path_of("http://host"), "/");
    }

    #[test]
    fn the_state_is_all_that_is_read_of_a_job() {
        let job = br#"{"id": "x", "progress": {"percent": 3}, "state": "running"}"#;
        assert_eq!(state_of(job), Some(State::Running));
        assert_eq!(state_of(b"{}"), None);
        assert_eq!(state_of(br#"{"state": "asleep"}"#), None);
        let done = br#"{"state": "succeeded", "finished_at": "2026-11-23T10:18:32.769092Z"}"#;
        let second = finish_of(done).unwrap().microseconds() / 1_000_000;
        assert_eq!(second, 1_795_429_112);
        assert_eq!(finish_of(job), None);
    }
}
