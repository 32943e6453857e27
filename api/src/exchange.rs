//! What is done around every exchange: the request's id, refusing what cannot be read, the header
//! fields that every answer has, the bodies of problems, the log line and the metrics.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Instant};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method, Version,
        header::{self, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use coatcheck_shared::trace;
use metrics::{Counter, Histogram, counter, histogram};
use tracing::Level;

use crate::{
    api::Api,
    connection::{Answer, Connection},
    problem::{self, Problem, ProblemType},
    rate_limit::RateLimitFields,
    request_id::{self, RequestId, X_REQUEST_ID},
    routes::Pattern,
    trace_context::{self, RequestSpan},
};

/// How soon a client should try again where there are too many connections, in seconds.
const TOO_MANY_RETRY_S: u64 = 5;

/// Whoever asks whether the server lives is told so, however full it is.
pub(crate) const HEALTH: [&str; 2] = ["/livez", "/readyz"];

/// The middleware.
pub(crate) async fn exchange(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let id = request_id::of(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let api = trace::is_on()
        .then(|| request.app_data::<Data<Api>>().cloned())
        .flatten();
    let now = || api.as_ref().map(|api| api.now());
    let span = RequestSpan::begin(&request, now);
    let mut response = match refusal(&request) {
        None => next.call(request).await?.map_into_boxed_body(),
        Some(problem) => request.error_response(problem),
    };
    finish_head(&mut response, &id);
    log(&response, &id, began);
    count(&response, began);
    span.end(&response, now);
    let mut response = with_problem_body(response, &id);
    if let Some(connection) = response.request().conn_data::<Rc<Connection>>().cloned() {
        response
            .response_mut()
            .extensions_mut()
            .insert(Answer(connection));
    }
    Ok(response)
}

/// Why a request is refused before anything of it is looked at; none where it is not.
fn refusal(request: &ServiceRequest) -> Option<Problem> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    if let Some(refusal) = connection.next_request() {
        return Some(refusal.into_problem());
    }
    let asks_for_health = HEALTH.contains(&request.path());
    (connection.is_too_many() && !asks_for_health).then(|| {
        Problem::new(
            ProblemType::Overloaded,
            "There are as many connections as the server holds.",
        )
        .retry_after(TOO_MANY_RETRY_S)
        .closing()
    })
}

fn problem_of(response: &ServiceResponse) -> Option<&Problem> {
    response.response().error()?.as_error::<Problem>()
}

fn finish_head(response: &mut ServiceResponse, id: &str) {
    let api = response.request().app_data::<Data<Api>>();
    let draining = api.is_some_and(|api| api.draining.is_cancelled());
    let cors = api.filter(|api| api.cors.is_some()).cloned();
    let closes = draining
        || problem_of(response).is_some_and(Problem::closes)
        || ends_its_connection(response.request());
    if closes {
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    if response.request().version() < Version::HTTP_11
        && response.response().body().size() == BodySize::Stream
    {
        // It knows no chunks (RFC 9112 §6.1): the end of the connection is the end of the body.
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    let rate_limit = RateLimitFields::of(response.request());
    let headers = response.headers_mut();
    if let Some(fields) = rate_limit {
        fields.write(headers);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID.clone(), id);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(cors) = cors.as_ref().and_then(|api| api.cors.as_ref()) {
        let request = response.request().clone();
        cors.write(request.method(), request.headers(), response.headers_mut());
    }
}

/// Whether the connection of a request serves no other, whatever comes of it: it is one too many,
/// its body has not been asked for, or it asks to be upgraded, which is ignored, and the framework
/// would read no other from it.
fn ends_its_connection(request: &HttpRequest) -> bool {
    let is_over = request
        .conn_data::<Rc<Connection>>()
        .is_some_and(|connection| connection.is_too_many() || connection.awaits_invitation());
    is_over || request.headers().contains_key(header::UPGRADE)
}

/// Gives an error its body, which names the request.
fn with_problem_body(response: ServiceResponse, id: &str) -> ServiceResponse {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let body = match problem_of(&response) {
        Some(problem) => problem.body(id),
        // The framework's own refusal, of a request that it could not take apart.
        None if status.is_client_error() => {
            Problem::new(ProblemType::MalformedRequest, "The request cannot be read.").body(id)
        }
        None => Problem::internal(&status).body(id),
    };
    let mut response = response.map_body(|_, _| BoxBody::new(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(problem::MEDIA_TYPE),
    );
    response
}

fn log(response: &ServiceResponse, id: &str, began: Instant) {
    let status = response.status().as_u16();
    let request = response.request();
    let (method, path) = (request.method(), request.path());
    let milliseconds = began.elapsed().as_secs_f64() * 1_000.0;
    let cause = problem_of(response).and_then(Problem::cause);
    let trace_id = || trace_context::trace_id_of(request);
    match level_of(status) {
        Level::ERROR => {
            tracing::error!(request_id = id, trace_id = trace_id(), %method, path, status, cause, "the request failed");
        }
        Level::WARN => {
            tracing::warn!(request_id = id, trace_id = trace_id(), %method, path, status, cause, "the request was turned away");
        }
        Level::INFO => {
            tracing::info!(request_id = id, trace_id = trace_id(), %method, path, status, cause, "the request was refused");
        }
        _ => {
            tracing::debug!(request_id = id, trace_id = trace_id(), %method, path, status, milliseconds, "answered");
        }
    }
}

/// A fault of ours is an error. That we are too full, or the database is away, an operator may want
/// to be woken for. What is not implemented was asked for by the client: it is worth a line, for a
/// kind that is declared or a method that is used in vain, and nobody's alarm.
fn level_of(status: u16) -> Level {
    match status {
        501 | 505 => Level::INFO,
        503 => Level::WARN,
        500.. => Level::ERROR,
        _ => Level::DEBUG,
    }
}

/// A method as metrics and traces tell it: callers can make up as many as they like.
pub(crate) fn method_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

type Key = (&'static str, &'static str, u16);

thread_local! {
    /// The metrics of each route, method and status, looked up once a thread.
    static METRICS: RefCell<HashMap<Key, (Counter, Histogram)>> = RefCell::default();
}

fn count(response: &ServiceResponse, began: Instant) {
    let request = response.request();
    let route = request
        .app_data::<Pattern>()
        .map_or("none", |pattern| pattern.0);
    let method = method_of(request.method());
    let status = response.status().as_u16();
    METRICS.with_borrow_mut(|metrics| {
        let (counter, histogram) = metrics.entry((route, method, status)).or_insert_with(|| {
            let labels = [
                ("route", route.to_owned()),
                ("method", method.to_owned()),
                ("status", status.to_string()),
            ];
            (
                counter!("coatcheck_http_requests_total", &labels),
                histogram!("coatcheck_http_request_seconds", &labels),
            )
        });
        counter.increment(1);
        histogram.record(began.elapsed());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_our_fault_is_logged_as_such() {
        for (status, level) in [
            (200, Level::DEBUG),
            (429, Level::DEBUG),
            (500, Level::ERROR),
            (501, Level::INFO),
            (503, Level::WARN),
            (505, Level::INFO),
        ] {
            assert_eq!(level_of(status), level, "{status}");
        }
    }
}
