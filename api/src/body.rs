//! Taking a JSON body in: its media type and coding, its size, the time it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderValue},
    web::Payload,
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::timeout;

use crate::problem::{Problem, ProblemType};

/// How much the bodies that are being taken in or stored may take together.
const LARGEST_TOTAL: usize = 256 * 1024 * 1024;

/// The bounds of a body.
pub(crate) struct BodyLimits {
    largest: usize,
    deadline: Duration,
    held: Arc<AtomicUsize>,
}

/// A body, which counts against what the process holds until it is dropped.
pub(crate) struct Body {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// A share of the memory that bodies may take.
struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes += bytes;
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > LARGEST_TOTAL {
            return Err(Problem::new(
                ProblemType::Overloaded,
                "Too many bodies are on their way at once.",
            )
            .retry_after(1)
            .closing());
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl BodyLimits {
    /// Bodies up to `largest` bytes that arrive within `deadline`.
    pub(crate) fn new(largest: usize, deadline: Duration) -> Self {
        Self {
            largest,
            deadline,
            held: Arc::default(),
        }
    }

    /// Takes the body of a request that must be JSON.
    pub(crate) async fn json(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<Body, Problem> {
        require_json(request.headers())?;
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        if announced > self.largest {
            return Err(self.too_large());
        }
        match timeout(self.deadline, self.collect(payload)).await {
            Ok(body) => body,
            Err(_) => Err(Problem::new(
                ProblemType::RequestTimeout,
                format!(
                    "The body did not arrive within {} s.",
                    self.deadline.as_secs()
                ),
            )
            .closing()),
        }
    }

    async fn collect(&self, mut payload: Payload) -> Result<Body, Problem> {
        let mut share = Share {
            held: self.held.clone(),
            bytes: 0,
        };
        // A body that comes in one piece is not copied.
        let mut first = Bytes::new();
        let mut gathered = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::new(
                    ProblemType::MalformedRequest,
                    format!("The body broke off: {error}."),
                )
                .closing()
            })?;
            share.grow(chunk.len())?;
            if share.bytes > self.largest {
                return Err(self.too_large());
            }
            if first.is_empty() && gathered.is_empty() {
                first = chunk;
            } else {
                gathered.extend_from_slice(&std::mem::take(&mut first));
                gathered.extend_from_slice(&chunk);
            }
        }
        Ok(Body {
            bytes: if gathered.is_empty() {
                first
            } else {
                gathered.freeze()
            },
            _share: share,
        })
    }

    fn too_large(&self) -> Problem {
        Problem::new(
            ProblemType::BodyTooLarge,
            format!("A body may be {} bytes large.", self.largest),
        )
        .with("limit_bytes", self.largest)
        .closing()
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING);
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(
            ProblemType::UnsupportedCoding,
            "Send the body without a Content-Encoding.",
        )
        .with_header(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        ));
    }
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if media_type.is_some_and(is_json) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::UnsupportedMediaType,
        "Send `Content-Type: application/json`.",
    )
    .with_header(header::ACCEPT, HeaderValue::from_static("application/json")))
}

fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_what_is_not() {
        for json in [
            "application/json",
            "Application/JSON",
            "application/json; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "application/jsonx",
            "application/problem+json",
            "application/json; charset=latin1",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }
}
