//! Calling the API: one request, tried again where that is safe.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use url::{Host, Url};

use super::{problem, server::Server};
use crate::failure::{Failure, UNAVAILABLE, with_causes};

const USER_AGENT: &str = concat!("coatcheck/", env!("CARGO_PKG_VERSION"));
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may be silent; more than any request asks it to wait.
const SILENCE: Duration = Duration::from_secs(45);
/// More than any page of jobs has.
const LARGEST_ANSWER_BYTES: usize = 256 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a request is tried again.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// And how long where the server has answered before, and what is asked takes its time anyway.
pub(super) const OUTAGE: Duration = Duration::from_secs(30);

/// The API of one server.
pub(super) struct Api {
    http: Client,
    base: Url,
}

/// A request.
pub(super) struct Call {
    pub(super) method: Method,
    /// What comes behind `/v1/jobs`.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
    /// Whether doing it twice is as good as once.
    pub(super) repeatable: bool,
    /// How long it is tried again.
    pub(super) patience: Duration,
}

impl Call {
    pub(super) fn get<const N: usize>(path: [&str; N]) -> Self {
        Self {
            method: Method::GET,
            path: path.map(str::to_owned).into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            repeatable: true,
            patience: PATIENCE,
        }
    }

    pub(super) fn post<const N: usize>(path: [&str; N], repeatable: bool) -> Self {
        Self {
            method: Method::POST,
            repeatable,
            ..Self::get(path)
        }
    }

    #[must_use]
    pub(super) fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body.into());
        self
    }

    #[must_use]
    pub(super) fn with_query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    #[must_use]
    pub(super) fn with_header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// A good answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// Where it is something else, as behind a wrong URL.
    pub(super) fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let reason = format!("the answer is none of Coatcheck's ({error}): is --url right?");
            Failure::new(UNAVAILABLE, reason)
        })
    }
}

impl Api {
    pub(super) fn new(server: &Server) -> Result<Self, Failure> {
        // Where another part of the process has installed it before, that is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut headers = HeaderMap::new();
        if let Some(value) = server.authorization()? {
            headers.insert(AUTHORIZATION, value);
        }
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        // No proxy reaches this machine's own loopback.
        if is_loopback(&server.url) {
            client = client.no_proxy();
        }
        let http = client
            .build()
            .map_err(|error| Failure::caused_by("no HTTP client", &error))?;
        let base = server.url.clone();
        Ok(Self { http, base })
    }

    /// Has a call answered with success.
    ///
    /// # Errors
    /// Where nobody answers, or with a problem.
    pub(super) async fn ask(&self, call: &Call) -> Result<Answer, Failure> {
        let (answer, headers) = self.answer(call).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(problem::failure(answer.status, &headers, &answer.body))
        }
    }

    /// Has a call answered, well or not.
    ///
    /// # Errors
    /// Where nobody answers.
    pub(super) async fn answer(&self, call: &Call) -> Result<(Answer, HeaderMap), Failure> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let response = self.send(call).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            match read(response).await {
                Ok(body) => return Ok((Answer { status, body }, headers)),
                Err(_) if call.repeatable && begun.elapsed() + pause < call.patience => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(self.away(error)),
            }
        }
    }

    /// The head of an answer. What may pass by itself is tried again while there is patience.
    ///
    /// # Errors
    /// Where nobody answers.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Failure> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = self.request(call)?.send().await;
            let asked = match &outcome {
                Ok(response) if may_pass(response.status(), call.repeatable) => {
                    retry_after(response.headers())
                }
                // A request that found no connection has not been seen by anyone.
                Err(error) if call.repeatable || error.is_connect() => None,
                Ok(_) | Err(_) => return outcome.map_err(|error| self.away(error)),
            };
            let next = asked.unwrap_or(pause).max(pause);
            if begun.elapsed() + next >= call.patience {
                return outcome.map_err(|error| self.away(error));
            }
            tokio::time::sleep(next).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn request(&self, call: &Call) -> Result<reqwest::RequestBuilder, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::error("the URL has no path"))?
            .pop_if_empty()
            .extend(["v1", "jobs"])
            .extend(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.http.request(call.method.clone(), url);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            let is_said = call.headers.iter().any(|(name, _)| *name == "content-type");
            if !is_said {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            request = request.body(body.clone());
        }
        Ok(request)
    }

    /// That nobody answers.
    pub(super) fn away(&self, error: reqwest::Error) -> Failure {
        let server = self.base.origin().ascii_serialization();
        let cause = with_causes(&error.without_url());
        Failure::new(UNAVAILABLE, format!("no answer from {server}: {cause}"))
    }
}

async fn read(mut response: Response) -> Result<Bytes, reqwest::Error> {
    let mut body = BytesMut::new();
    while body.len() < LARGEST_ANSWER_BYTES {
        match response.chunk().await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(body.freeze())
}

fn may_pass(status: StatusCode, repeatable: bool) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            repeatable
        }
        _ => false,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
