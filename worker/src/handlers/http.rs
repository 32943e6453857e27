//! `http`: calls a URL and keeps the answer.
//!
//! An answer of 429 or 503 says "not now": the job is retried, after the answer's `Retry-After`
//! where it has one. So is a call that brought no whole answer. Every other answer, a 404 or a 500
//! too, is the result, with its status and header fields; so is a redirect, which is not followed.
//!
//! Unless the operator allows it, no private address is called, whatever the URL, the name server
//! or the answer say: see `http/address.rs`.

mod address;
mod answer;
mod client;
mod request;

use std::{error::Error, time::Duration};

use coatcheck_shared::{
    job::JobResult,
    kind::http::HttpPayload,
    settings::Settings,
    trace::{About, Span, SpanKind},
};
use url::Url;

use self::address::PrivateAddress;
use super::BuiltinError;
use crate::{Handler, HandlerError, JobContext};

/// Runs `http`.
#[derive(Clone, Debug)]
pub struct HttpHandler {
    client: reqwest::Client,
    allow_private: bool,
    timeout: Duration,
    result_bytes: usize,
}

impl HttpHandler {
    /// A handler with a client of its own, which takes no proxy from the environment.
    ///
    /// # Errors
    /// Where the client cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, BuiltinError> {
        Ok(Self {
            client: client::client(settings.http.allow_private)?,
            allow_private: settings.http.allow_private,
            timeout: Duration::from_secs(settings.http.timeout_s),
            result_bytes: settings.worker.result_bytes,
        })
    }

    async fn answer(
        &self,
        payload: HttpPayload,
        traceparent: Option<&str>,
        context: &JobContext,
    ) -> Result<JobResult, HandlerError> {
        let mut request = request::build(&self.client, payload, traceparent)?;
        if !self.allow_private {
            address::check_literal(request.url())?;
        }
        request.timeout_mut().get_or_insert(self.timeout);
        tokio::select! {
            answer = self.call(request, context) => answer,
            () = context.cancellation().cancelled() => {
                Err(HandlerError::retry("the call was broken off"))
            }
        }
    }

    async fn call(
        &self,
        request: reqwest::Request,
        context: &JobContext,
    ) -> Result<JobResult, HandlerError> {
        let answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| no_answer(&error))?;
        answer::keep(answer, self.result_bytes, context.result_writer()).await
    }
}

impl Handler for HttpHandler {
    type Payload = HttpPayload;
    type Output = JobResult;

    async fn run(
        &self,
        payload: HttpPayload,
        context: &JobContext,
    ) -> Result<JobResult, HandlerError> {
        let call = trace_of(&payload, context);
        let traceparent = call.as_ref().map(Span::traceparent);
        let traceparent = traceparent.as_deref().or(context.traceparent());
        let outcome = self.answer(payload, traceparent, context).await;
        end_trace(call, &outcome, context);
        outcome
    }
}

/// The call as part of the job's trace. Of its URL it tells the host alone.
fn trace_of(payload: &HttpPayload, context: &JobContext) -> Option<Span> {
    Span::begin(context.traceparent(), context.now(), || {
        let method = request::known_method(&payload.method);
        let host = Url::parse(&payload.url).ok();
        let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
        About {
            name: method.to_owned(),
            kind: SpanKind::Client,
            attributes: vec![
                ("http.request.method", method.to_owned()),
                ("server.address", host.to_owned()),
            ],
        }
    })
}

fn end_trace(span: Option<Span>, outcome: &Result<JobResult, HandlerError>, context: &JobContext) {
    let Some(mut span) = span else { return };
    match outcome {
        Ok(result) => {
            if let Some(status) = result.status {
                span.set("http.response.status_code", status.to_string());
            }
        }
        Err(_) => span.fail("there was no answer to keep"),
    }
    span.end(context.now());
}

/// The URL stays out of the message: it may carry a secret.
fn no_answer(error: &reqwest::Error) -> HandlerError {
    let mut cause = error.source();
    let mut innermost = None;
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<PrivateAddress>() {
            return HandlerError::fail(refusal);
        }
        innermost = Some(error);
        cause = error.source();
    }
    if error.is_timeout() {
        return HandlerError::retry("the target did not answer in time");
    }
    let what = if error.is_connect() {
        "no connection to the target"
    } else {
        "the target's answer broke off"
    };
    HandlerError::retry(match innermost {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    })
}

#[cfg(test)]
mod tests;
