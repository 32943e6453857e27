//! The jobs of a load test: submitted here, followed to their end in `follow`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LOCATION},
};

use super::{
    client::{Answer, Client, Failure, Reservation},
    follow::Followed,
    measurements::Measurements,
    mix::Rotation,
    plan::{Follow, Plan},
    seen::Seen,
};

/// What a request asks for that waits for a job's end.
pub(super) const WAIT: HeaderValue = HeaderValue::from_static("wait=30");
/// How long that lets the server wait.
pub(super) const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// What the jobs of one load test share.
pub(crate) struct Jobs {
    plan: Plan,
    client: Arc<Client>,
    submit_uri: Uri,
    rotation: Mutex<Rotation>,
    measurements: Mutex<Measurements>,
}

impl Jobs {
    /// The jobs of a plan.
    pub(crate) fn new(plan: Plan, client: Arc<Client>, start: Instant) -> Self {
        let parts = plan.mix.parts.len();
        Self {
            submit_uri: uri(&format!("{}/v1/jobs", plan.target.prefix)),
            rotation: Mutex::new(Rotation::new(&plan.mix)),
            plan,
            client,
            measurements: Mutex::new(Measurements::new(start, parts)),
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
        let part = self
            .rotation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next();
        self.measurements().parts[part].submitted += 1;
        let waits = matches!(self.plan.follow, Follow::Submit);
        let extra = if waits { WAIT_LIMIT } else { Duration::ZERO };
        let request = self.request(
            Method::POST,
            self.submit_uri.clone(),
            self.plan.mix.parts[part].submission.clone(),
            waits.then_some(WAIT),
        );
        match self.exchange(&reservation, request, extra).await {
            Ok(answer) if matches!(answer.status, StatusCode::OK | StatusCode::ACCEPTED) => {
                self.accepted(reservation, &answer, part, since).await;
            }
            Ok(answer) => self.measurements().refused(&answer),
            Err(failure) => {
                self.measurements().broken(&failure);
                return false;
            }
        }
        true
    }

    async fn accepted(
        &self,
        reservation: Reservation,
        answer: &Answer,
        part: usize,
        since: Instant,
    ) {
        if matches!(self.plan.follow, Follow::Not { .. }) {
            self.measurements().accepted(part, since, Duration::ZERO);
            return;
        }
        // What has been waited for was accepted a while ago.
        let seen = matches!(self.plan.follow, Follow::Submit)
            .then(|| Seen::in_body(&answer.body))
            .flatten();
        let ago = seen
            .as_ref()
            .and_then(|seen| seen.lived)
            .unwrap_or_default();
        let accepted = self.measurements().accepted(part, since, ago);
        let location = answer
            .headers
            .get(LOCATION)
            .or_else(|| answer.headers.get("content-location"))
            .and_then(|value| value.to_str().ok());
        let mut job = Followed::new(self, part, since, accepted);
        if seen.is_some_and(|seen| job.note(&seen)) {
            return;
        }
        match location {
            Some(location) => job.follow(reservation, path_of(location)).await,
            None => self.measurements().broken(&Failure::Unreadable),
        }
    }

    /// Whether no job is waiting or running any more; none where that could not be learned.
    pub(crate) async fn is_drained(&self) -> Option<bool> {
        let reservation = self.client.reserve().await;
        let path = format!(
            "{}/v1/jobs?state=queued,running,scheduled&limit=1",
            self.plan.target.prefix
        );
        let request = self.request(Method::GET, uri(&path), Bytes::new(), None);
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

    pub(super) async fn exchange(
        &self,
        reservation: &Reservation,
        request: Request<Full<Bytes>>,
        extra: Duration,
    ) -> Result<Answer, Failure> {
        self.measurements().requests += 1;
        reservation.exchange(request, extra).await
    }

    pub(super) fn request(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
        prefer: Option<HeaderValue>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() = uri;
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

#[derive(serde::Deserialize)]
struct Page {
    items: Vec<serde::de::IgnoredAny>,
}

/// A path as a request has it. One that is none goes out as "/", and its 404 is counted.
pub(super) fn uri(path: &str) -> Uri {
    path.parse().unwrap_or_default()
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
}
