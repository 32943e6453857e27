//! The trace that a request belongs to, and so does the job that it submits.

use actix_web::{
    HttpMessage, HttpRequest,
    dev::{ServiceRequest, ServiceResponse},
    http::header::HeaderMap,
};
use coatcheck_shared::{
    job::JobId,
    timestamp::Timestamp,
    trace::{self, About, Span, SpanKind},
};
use serde_json::json;

use crate::{exchange::method_of, openapi::Parameter, request_id::RequestId, routes::Pattern};

/// The field, described.
pub(crate) const PARAMETER: Parameter = Parameter::head(
    "traceparent",
    "The trace that the job continues (W3C Trace Context); another is begun where it is none.",
    || {
        json!({
            "type": "string",
            "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        })
    },
);

/// What is asked so often, and by machines, that it would fill every trace.
const NOT_TRACED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The `traceparent` of the span of a request, among its extensions.
struct RequestTrace(String);

/// The span of a request, where traces are on.
pub(crate) struct RequestSpan(Option<Span>);

impl RequestSpan {
    /// Begins it, under the caller's where there is one.
    pub(crate) fn begin(request: &ServiceRequest, now: impl FnOnce() -> Option<Timestamp>) -> Self {
        if !trace::is_on() || NOT_TRACED.contains(&request.path()) {
            return Self(None);
        }
        let span = now().and_then(|now| {
            Span::begin(of_caller(request.headers()), now, || About {
                name: method_of(request.method()).to_owned(),
                kind: SpanKind::Server,
                attributes: vec![(
                    "http.request.method",
                    method_of(request.method()).to_owned(),
                )],
            })
        });
        if let Some(span) = &span {
            let trace = RequestTrace(span.traceparent());
            request.extensions_mut().insert(trace);
        }
        Self(span)
    }

    /// Ends it with what the answer's head tells. Of the target it tells the route alone: a path
    /// or a query may hold what is nobody's business.
    pub(crate) fn end(self, response: &ServiceResponse, now: impl FnOnce() -> Option<Timestamp>) {
        let Some(mut span) = self.0 else { return };
        let Some(now) = now() else { return };
        let request = response.request();
        if let Some(route) = request.app_data::<Pattern>() {
            span.rename(format!("{} {}", method_of(request.method()), route.0));
            span.set("http.route", route.0);
        }
        if let Some(id) = request.extensions().get::<RequestId>() {
            span.set("coatcheck.request.id", id.0.as_str());
        }
        let status = response.status();
        span.set("http.response.status_code", status.as_str());
        if status.is_server_error() {
            span.fail("the request was not served");
        }
        span.end(now);
    }
}

/// The trace context of a submission: the request's span, else the caller's context, else a new
/// one.
pub(crate) fn of(request: &HttpRequest, id: JobId) -> String {
    of_request(request).unwrap_or_else(|| begun_by(id))
}

/// The id of the trace that a request belongs to, for its line in the log.
pub(crate) fn trace_id_of(request: &HttpRequest) -> Option<String> {
    let traceparent = of_request(request)?;
    trace::trace_id(&traceparent).map(str::to_owned)
}

fn of_request(request: &HttpRequest) -> Option<String> {
    if let Some(trace) = request.extensions().get::<RequestTrace>() {
        return Some(trace.0.clone());
    }
    of_caller(request.headers()).map(str::to_owned)
}

fn of_caller(headers: &HeaderMap) -> Option<&str> {
    trace::valid_part(headers.get("traceparent")?.to_str().ok()?)
}

/// A new trace. A job's id is as unique as a trace's has to be; its second half is random.
fn begun_by(id: JobId) -> String {
    let trace = id.as_uuid().simple();
    let (_, span) = id.as_uuid().as_u64_pair();
    format!("00-{trace}-{span:016x}-00")
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::clock::SystemClock;

    use super::*;

    #[test]
    fn a_trace_of_its_own_is_valid() {
        assert!(trace::is_valid(&begun_by(JobId::generate(&SystemClock))));
    }
}
