//! A client, as small as tests need it.

use std::{
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, Response, header::CONTENT_TYPE};
use serde_json::Value;

use crate::{
    Result,
    document::{Document, Exchange},
    http_get::http_get,
};

/// The longest that one answer may take: the longest wait that a test asks for, and some.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);
const POLL_PAUSE: Duration = Duration::from_millis(25);

/// What the product says of itself, read once a process.
static DOCUMENT: OnceLock<Document> = OnceLock::new();

/// Speaks to one process of the product. Every answer is held against the product's document.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    /// None for a worker, whose own health is no part of the API.
    document: Option<&'static Document>,
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
    /// Where the HTTP client cannot be made, or the process does not describe itself.
    pub fn new(address: SocketAddr) -> Result<Self> {
        // An error means that another client has installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        Ok(Self {
            base: format!("http://{address}"),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(ANSWER_LIMIT)
                .build()?,
            document: Some(document_of(address)?),
        })
    }

    /// The same connections, to another process.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            base: format!("http://{address}"),
            http: self.http.clone(),
            document: self.document,
        }
    }

    /// The same connections, to a worker: what it answers of its health is in no document.
    #[must_use]
    pub fn at_worker(&self, address: SocketAddr) -> Self {
        Self {
            document: None,
            ..self.at(address)
        }
    }

    /// A request to be filled in and given to [`Client::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Where no whole answer comes, or one that is not as it is documented.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let (asked, response) = self.execute(request).await?;
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        };
        self.check(&asked, answer.status, &answer.headers, Some(&answer.body))?;
        Ok(answer)
    }

    /// Sends a request whose answer is read as it comes.
    ///
    /// # Errors
    /// As [`Client::send`], as far as the answer's head tells.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let (asked, response) = self.execute(request).await?;
        self.check(&asked, response.status().as_u16(), response.headers(), None)?;
        Ok(response)
    }

    async fn execute(&self, request: RequestBuilder) -> Result<((String, String), Response)> {
        let request = request.build()?;
        let url = request.url();
        let query = url
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        let asked = (
            request.method().to_string(),
            format!("{}{query}", url.path()),
        );
        Ok((asked, self.http.execute(request).await?))
    }

    fn check(
        &self,
        (method, target): &(String, String),
        status: u16,
        headers: &reqwest::header::HeaderMap,
        body: Option<&[u8]>,
    ) -> Result<()> {
        let Some(document) = self.document else {
            return Ok(());
        };
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.to_string(), value.into_owned())
            })
            .collect();
        document.check(&Exchange {
            request: Some((method, target)),
            status,
            headers: &headers,
            body,
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

fn document_of(address: SocketAddr) -> Result<&'static Document> {
    if let Some(document) = DOCUMENT.get() {
        return Ok(document);
    }
    let (status, body) = http_get(address, "/openapi.json")?;
    if status != 200 {
        return Err(format!("no document: {status} {body}").into());
    }
    let document = Document::new(serde_json::from_str(&body)?)?;
    Ok(DOCUMENT.get_or_init(|| document))
}
