//! A client, as small as tests need it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::Value;

use crate::Result;

/// The longest that one answer may take: the longest wait that a test asks for, and some.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);
const POLL_PAUSE: Duration = Duration::from_millis(25);

/// Speaks to one process of the product.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field, empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The body as JSON, null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A client of the process at an address.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made.
    pub fn new(address: SocketAddr) -> Result<Self> {
        // An error means that another client has installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        Ok(Self {
            base: format!("http://{address}"),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(ANSWER_LIMIT)
                .build()?,
        })
    }

    /// The same connections, to another process.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            base: format!("http://{address}"),
            http: self.http.clone(),
        }
    }

    /// A request to be filled in and given to [`Client::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Where no whole answer comes.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        })
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(body)?);
        self.send(request).await
    }

    /// Submits a job that is to be accepted; its id.
    ///
    /// # Errors
    /// Where the answer is not 202.
    pub async fn submit(&self, submission: &Value) -> Result<String> {
        let answer = self.post("/v1/jobs", submission).await?;
        if answer.status != 202 {
            return Err(format!("not accepted: {} {}", answer.status, answer.text()).into());
        }
        let id = answer.json()["id"].as_str().map(str::to_owned);
        Ok(id.ok_or("an accepted job has no id")?)
    }

    /// The job as it stands.
    ///
    /// # Errors
    /// Where the answer is not 200.
    pub async fn job(&self, id: &str) -> Result<Value> {
        let answer = self.get(&format!("/v1/jobs/{id}")).await?;
        if answer.status != 200 {
            return Err(format!("job {id}: {} {}", answer.status, answer.text()).into());
        }
        Ok(answer.json())
    }

    /// Polls until the job is in one of `states`.
    ///
    /// # Errors
    /// Where it is not after `limit`, or a poll is not answered 200.
    pub async fn wait_for(&self, id: &str, states: &[&str], limit: Duration) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let job = self.job(id).await?;
            if job["state"]
                .as_str()
                .is_some_and(|state| states.contains(&state))
            {
                return Ok(job);
            }
            if begun.elapsed() > limit {
                return Err(format!("not {states:?} after {limit:?}: {job}").into());
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// The same, through refusals and connections that break: for as long as a server comes back.
    ///
    /// # Errors
    /// Where the job has not ended after `limit`.
    pub async fn wait_for_end_with_patience(&self, id: &str, limit: Duration) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            match self.wait_for_end(id, left).await {
                Err(_) if begun.elapsed() < limit => tokio::time::sleep(POLL_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    /// Polls until the job has ended.
    ///
    /// # Errors
    /// As [`Client::wait_for`].
    pub async fn wait_for_end(&self, id: &str, limit: Duration) -> Result<Value> {
        self.wait_for(id, &["succeeded", "failed", "cancelled"], limit)
            .await
    }

    /// Waits for a job to succeed; its result.
    ///
    /// # Errors
    /// Where it does not succeed within `limit`.
    pub async fn result(&self, id: &str, limit: Duration) -> Result<Answer> {
        let job = self.wait_for_end(id, limit).await?;
        if job["state"] != "succeeded" {
            return Err(format!("did not succeed: {job}").into());
        }
        let answer = self.get(&format!("/v1/jobs/{id}/result")).await?;
        if answer.status != 200 {
            return Err(format!("result: {} {}", answer.status, answer.text()).into());
        }
        Ok(answer)
    }
}
