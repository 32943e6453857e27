//! Building blocks of good answers: JSON with a validator, and nothing for who has it already.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;

use crate::{precondition, problem::Problem};

/// What an endpoint gives.
pub(crate) type Answer = Result<HttpResponse, Problem>;

/// How jobs and results may be cached: by the caller alone, and asked after each time.
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// What the answer about a job depends on, beside its URL.
pub(crate) const JOB_VARY: HeaderValue = HeaderValue::from_static("Authorization, Prefer");

/// Room for most bodies: that of a job is not to grow under way.
const USUAL_BODY_BYTES: usize = 1024;

/// The bytes of a value as JSON.
pub(crate) fn json_bytes(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(USUAL_BODY_BYTES);
    serde_json::to_writer(&mut bytes, value).map_err(|error| Problem::internal(&error))?;
    Ok(bytes)
}

/// An answer with a JSON body that is stored nowhere.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(json_bytes(value)?))
}

/// A 200 or 206 with a JSON body and an `ETag`, or a 304 where the caller has these bytes already.
/// `extend` adds header fields to either.
pub(crate) fn revalidated_json(
    request: &HttpRequest,
    status: StatusCode,
    value: &impl Serialize,
    extend: impl FnOnce(&mut HttpResponseBuilder),
) -> Answer {
    let body = json_bytes(value)?;
    let tag = precondition::tag_of(&body);
    // They are about what is asked for, not about what a POST has made.
    let is_asked_for = request.method().is_safe();
    if is_asked_for {
        precondition::require_meant(request, &tag)?;
    }
    let matches = is_asked_for && precondition::has_already(request, &tag);
    let mut response = HttpResponse::build(if matches {
        StatusCode::NOT_MODIFIED
    } else {
        status
    });
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, REVALIDATE))
        .insert_header((header::VARY, JOB_VARY));
    extend(&mut response);
    Ok(if matches {
        response.finish()
    } else {
        response
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .body(body)
    })
}
