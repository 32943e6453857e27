//! What a user implements to run a kind of job.

use std::{error::Error, fmt, future::Future, time::Duration};

use bytes::Bytes;
use coatcheck_shared::{job::JobResult, kind::KindPayload};
use serde::{Serialize, de::DeserializeOwned};

use crate::JobContext;

/// Runs one kind of job.
///
/// A job is run at least once, and again where its worker dies: what a handler does to the
/// outside world should bear being done twice. The [`JobContext::id`] is the same each time.
pub trait Handler: Send + Sync + 'static {
    /// What a submission must carry; its type names the kind.
    type Payload: KindPayload + DeserializeOwned + Send;
    /// What is kept as the result.
    type Output: IntoJobResult;

    /// Runs a job to its end.
    ///
    /// The future is dropped when the job's time is over or, [`JobContext::cancellation`] having
    /// fired, the grace is: what must not be left half done belongs into a task of its own. What takes
    /// a thread for more than moments belongs into [`tokio::task::spawn_blocking`]: the worker's lease
    /// is renewed by the same threads.
    ///
    /// # Errors
    /// What the handler says with it decides whether another attempt follows: see
    /// [`HandlerError`].
    fn run(
        &self,
        payload: Self::Payload,
        context: &JobContext,
    ) -> impl Future<Output = Result<Self::Output, HandlerError>> + Send;
}

/// Runs one kind of job whose payload is bytes: an image, a document, a dump.
///
/// Everything that is said of a [`Handler`] holds; it is registered with
/// [`Registry::register_bytes`](crate::Registry::register_bytes).
pub trait BytesHandler: Send + Sync + 'static {
    /// What is kept as the result.
    type Output: IntoJobResult;

    /// The kind's name.
    fn kind(&self) -> &str;

    /// What the kind does, in a sentence for its users.
    fn description(&self) -> &str;

    /// The media types of the bytes that it takes, such as `image/png` or `image/*`. A submission
    /// of any other is refused.
    fn media_types(&self) -> &[&str] {
        &["*/*"]
    }

    /// Runs a job to its end.
    ///
    /// # Errors
    /// See [`HandlerError`].
    fn run(
        &self,
        payload: RawPayload,
        context: &JobContext,
    ) -> impl Future<Output = Result<Self::Output, HandlerError>> + Send;
}

/// A payload as it was submitted, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPayload {
    /// Its media type, with its parameters.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How an attempt failed, and what is to follow.
#[derive(Debug)]
pub struct HandlerError {
    message: String,
    details: Option<serde_json::Value>,
    then: Then,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Another attempt after the usual pause, while one is left.
    Retry,
    /// Another attempt after this pause, while one is left.
    RetryAfter(Duration),
    /// The end.
    Fail,
}

impl HandlerError {
    /// It may go better the next time.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::new(error, Then::Retry)
    }

    /// It may go better after this pause.
    pub fn retry_after(error: impl fmt::Display, pause: Duration) -> Self {
        Self::new(error, Then::RetryAfter(pause))
    }

    /// It will never go better.
    pub fn fail(error: impl fmt::Display) -> Self {
        Self::new(error, Then::Fail)
    }

    /// Adds what a program can use: an exit status, a code.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    fn new(error: impl fmt::Display, then: Then) -> Self {
        Self {
            message: error.to_string(),
            details: None,
            then,
        }
    }

    /// What happened, what a program can use of it, and what is to follow.
    pub fn into_parts(self) -> (String, Option<serde_json::Value>, Then) {
        (self.message, self.details, self.then)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// `?` on any error means: it may go better the next time.
impl<E: Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::retry(message)
    }
}

/// What a handler may return as its job's result.
pub trait IntoJobResult: Send {
    /// The bytes and their media type.
    ///
    /// # Errors
    /// Where it cannot be written as bytes; the job fails.
    fn into_job_result(self) -> Result<JobResult, HandlerError>;
}

impl IntoJobResult for JobResult {
    fn into_job_result(self) -> Result<JobResult, HandlerError> {
        Ok(self)
    }
}

/// A result that is kept as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize + Send> IntoJobResult for Json<T> {
    fn into_job_result(self) -> Result<JobResult, HandlerError> {
        let body = serde_json::to_vec(&self.0)
            .map_err(|error| HandlerError::fail(format!("the result is no JSON: {error}")))?;
        Ok(JobResult::new("application/json", body))
    }
}
