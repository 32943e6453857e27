//! From a payload to the request to make.

use std::time::Duration;

use coatcheck_shared::kind::http::HttpPayload;
use reqwest::{
    Client, Method, Request, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::answer::is_hop_by_hop;
use crate::HandlerError;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The request, without a timeout where the payload says none.
pub(super) fn build(
    client: &Client,
    payload: HttpPayload,
    traceparent: Option<&str>,
) -> Result<Request, HandlerError> {
    let mut headers = headers(&payload)?;
    if let Some(value) = traceparent.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.entry(TRACEPARENT).or_insert(value);
    }
    let mut request = client.request(method(&payload.method)?, url(&payload.url)?);
    if let Some(seconds) = payload.timeout_s {
        request = request.timeout(Duration::from_secs(seconds));
    }
    request = match payload.body {
        None => request,
        Some(Value::String(text)) => request.body(text),
        Some(json) => {
            headers
                .entry(header::CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            request.body(json.to_string())
        }
    };
    request
        .headers(headers)
        .build()
        .map_err(|error| HandlerError::fail(error.without_url()))
}

fn url(text: &str) -> Result<Url, HandlerError> {
    let url = Url::parse(text)
        .map_err(|error| HandlerError::fail(format!("the url cannot be read: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(HandlerError::fail(format!(
            "the url begins with {}, it must be http or https",
            url.scheme()
        )));
    }
    Ok(url)
}

/// CONNECT asks a proxy for a tunnel: it has no answer to keep.
fn method(text: &str) -> Result<Method, HandlerError> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => Err(HandlerError::fail("the method CONNECT cannot be used")),
        Ok(method) => Ok(method),
        Err(_) => Err(HandlerError::fail(format!("{text:?} is no method"))),
    }
}

/// A method as a trace names it: payloads can make up as many as they like.
pub(super) fn known_method(text: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = KNOWN.into_iter().find(|known| *known == text);
    known.unwrap_or("other")
}

/// A value is not repeated in the message: it may be a secret.
fn headers(payload: &HttpPayload) -> Result<HeaderMap, HandlerError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &payload.headers {
        let field = HeaderName::try_from(name.as_str())
            .map_err(|_| HandlerError::fail(format!("{name:?} is no name of a header field")))?;
        if is_hop_by_hop(&field) {
            return Err(HandlerError::fail(format!(
                "the header field {field} belongs to the connection and cannot be set"
            )));
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            HandlerError::fail(format!(
                "the header field {field} has a control character in its value"
            ))
        })?;
        headers.append(field, value);
    }
    Ok(headers)
}
