//! Taking a body in: its media type and coding, its size, the time it takes.

use std::{
    rc::Rc,
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
use coatcheck_shared::settings::MOST_BODY_BYTES;
use futures::StreamExt;
use tokio::time::timeout;

use crate::{
    connection::Connection,
    problem::{Problem, ProblemType},
};

/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";
const JSON_LINES: &str = "application/x-ndjson";

/// How a body that holds several values holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In one JSON object.
    Json,
    /// Each on a line of its own.
    Lines,
}

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
        if before + bytes > MOST_BODY_BYTES {
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
        require_one_media_type(request.headers())?;
        refuse_codings(request.headers())?;
        if !has_media_type(request.headers(), JSON) {
            return Err(unsupported_media_type(JSON));
        }
        self.receive(request, payload).await
    }

    /// Takes the body of a request, of whatever media type it is.
    pub(crate) async fn any(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<Body, Problem> {
        require_one_media_type(request.headers())?;
        refuse_codings(request.headers())?;
        self.receive(request, payload).await
    }

    /// Takes the body of a request that must be JSON, or JSON a line.
    pub(crate) async fn json_or_lines(
        &self,
        request: &HttpRequest,
        payload: Payload,
    ) -> Result<(Body, Form), Problem> {
        require_one_media_type(request.headers())?;
        refuse_codings(request.headers())?;
        let form = if has_media_type(request.headers(), JSON) {
            Form::Json
        } else if has_media_type(request.headers(), JSON_LINES) {
            Form::Lines
        } else {
            return Err(unsupported_media_type(
                "application/json, application/x-ndjson",
            ));
        };
        Ok((self.receive(request, payload).await?, form))
    }

    async fn receive(&self, request: &HttpRequest, payload: Payload) -> Result<Body, Problem> {
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .unwrap_or(0);
        if announced > self.largest {
            return Err(self.too_large());
        }
        if let Some(connection) = connection_of(request) {
            connection.invite_body();
        }
        match timeout(self.deadline, self.collect(request, payload)).await {
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

    async fn collect(&self, request: &HttpRequest, mut payload: Payload) -> Result<Body, Problem> {
        let mut share = Share {
            held: self.held.clone(),
            bytes: 0,
        };
        // A body that comes in one piece is not copied.
        let mut first = Bytes::new();
        let mut gathered = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| broken_off(request))?;
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

fn connection_of(request: &HttpRequest) -> Option<&Rc<Connection>> {
    request.conn_data()
}

/// That a body has not come to its end.
fn broken_off(request: &HttpRequest) -> Problem {
    let fault = connection_of(request).and_then(|connection| connection.body_fault());
    fault.unwrap_or_else(|| {
        Problem::new(
            ProblemType::MalformedRequest,
            "The body broke off before its end.",
        )
        .closing()
    })
}

/// Refuses what says more than once what the body is: who comes between may have read another one.
/// That several stand in one field, between commas, is the same (RFC 9110 §8.3).
pub(crate) fn require_one_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let mut is_quoted = false;
    let fields = headers.get_all(header::CONTENT_TYPE);
    let separators = fields.map(|field| {
        let commas = field.as_bytes().iter().filter(|byte| {
            is_quoted ^= **byte == b'"';
            !is_quoted && **byte == b','
        });
        1 + commas.count()
    });
    if separators.sum::<usize>() <= 1 {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::MalformedRequest,
        "There is more than one Content-Type: say once what the body is.",
    )
    .closing())
}

fn refuse_codings(headers: &HeaderMap) -> Result<(), Problem> {
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
    Ok(())
}

/// That a body is of another media type than these.
pub(crate) fn unsupported_media_type(accepted: &str) -> Problem {
    let problem = Problem::new(
        ProblemType::UnsupportedMediaType,
        format!("The Content-Type must be one of: {accepted}."),
    );
    match HeaderValue::from_str(accepted) {
        Ok(accepted) => problem.with_header(header::ACCEPT, accepted),
        Err(_) => problem,
    }
}

/// Whether a media type is JSON in UTF-8.
pub(crate) fn is_json(media_type: &str) -> bool {
    is(media_type, JSON)
}

fn has_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| is(media_type, expected))
}

/// Whether a media type is the expected one, in UTF-8.
fn is(media_type: &str, expected: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case(expected)
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
            assert!(is(json, JSON), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "application/jsonx",
            "application/problem+json",
            "application/json; charset=latin1",
        ] {
            assert!(!is(other, JSON), "{other}");
        }
    }
}
