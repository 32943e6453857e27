//! `GET /v1/jobs/{id}/result`: what a job left behind, byte for byte.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method, StatusCode,
        header::{self, EntityTag, HeaderName, HeaderValue},
    },
    web::Data,
};
use coatcheck_shared::{
    job::{Job, JobResult},
    store::ResultLookup,
};

use serde_json::json;

use super::{id_in_path, result_body};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Parameter, Reply, Tag, field, parameter},
    precondition,
    problem::{Problem, ProblemType},
    range::Asked,
    reply::{Answer, JOB_VARY, REVALIDATE},
    retry_after,
};

/// The status that the target of an `http` job answered with: the result's own is 200.
static RESULT_STATUS: HeaderName = HeaderName::from_static("coatcheck-result-status");

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let served = |status, says| {
        Reply::bytes(status, says, "*/*")
            .always([
                field::ETAG,
                field::VARY,
                field::ACCEPT_RANGES,
                field::CONTENT_SECURITY_POLICY,
            ])
            .sometimes([field::COATCHECK_RESULT_STATUS])
    };
    Operation::new(Tag::Jobs, "getResult", "What a job left behind")
        .says("Byte for byte, in its own media type, in pieces of any size.")
        .with([
            parameter::JOB_ID,
            Parameter::head(
                "Range",
                "A part of it. What cannot be understood is ignored.",
                || json!({"type": "string", "examples": ["bytes=0-1023"]}),
            ),
            Parameter::head(
                "If-Range",
                "The `ETag` of which the part is wanted: where it is another by now, all of it comes.",
                || json!({"type": "string", "examples": ["\"01a207ea1005727f9ea303ceb4637141-660eeea7c6a44-11\""]}),
            ),
        ])
        .conditional()
        .answers(served(200, "All of it."))
        .answers(served(206, "A part of it.").always([field::CONTENT_RANGE]))
        .answers(Reply::not_modified())
        .problems([
            ProblemType::JobNotFound,
            ProblemType::ResultNotReady,
            ProblemType::NoResult,
            ProblemType::RangeNotSatisfiable,
        ])
}

/// Serves a result, whole or in part.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    match api.store.result(&caller.tenant, id).await? {
        ResultLookup::NoJob => Err(Problem::no_job()),
        ResultLookup::NoResult(job) => Err(without_result(&job, &api)),
        ResultLookup::Found { job, result } => serve(&request, &api, &job, &result).await,
    }
}

fn without_result(job: &Job, api: &Api) -> Problem {
    match retry_after::seconds(api, job) {
        Some(seconds) => Problem::new(ProblemType::ResultNotReady, "The job is not finished yet.")
            .retry_after(seconds),
        None => Problem::new(
            ProblemType::NoResult,
            format!("The job has {}.", phrase(job)),
        ),
    }
    .with("state", job.lifecycle.state.as_str())
}

fn phrase(job: &Job) -> &'static str {
    use coatcheck_shared::job::State;
    match job.lifecycle.state {
        State::Cancelled => "been cancelled and left no result",
        _ => "failed and left no result",
    }
}

async fn serve(request: &HttpRequest, api: &Api, job: &Job, result: &JobResult) -> Answer {
    let tag = tag_of(job, result);
    precondition::require_meant(request, &tag)?;
    if precondition::has_already(request, &tag) {
        return Ok(head(StatusCode::NOT_MODIFIED, tag).finish());
    }
    let length = result.body.size();
    let asked =
        Asked::of(request, "bytes").filter(|_| precondition::range_may_apply(request, &tag));
    let (mut response, range) = match asked.map(|asked| asked.within(length)) {
        None => (described(StatusCode::OK, tag, result), 0..length),
        Some(Some(range)) => {
            let places = content_range(&format!("{}-{}", range.start(), range.end()), length)?;
            let mut response = described(StatusCode::PARTIAL_CONTENT, tag, result);
            response.insert_header((header::CONTENT_RANGE, places));
            (response, *range.start()..range.end() + 1)
        }
        Some(None) => {
            return Err(Problem::new(
                ProblemType::RangeNotSatisfiable,
                format!("The result is {length} bytes long."),
            )
            .with_header(header::CONTENT_RANGE, content_range("*", length)?));
        }
    };
    let body = if request.method() == Method::HEAD {
        result_body::none(length)
    } else {
        result_body::part(&api.store, job, &result.body, range).await?
    };
    Ok(response.body(body))
}

fn content_range(part: &str, length: u64) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(&format!("bytes {part}/{length}"))
        .map_err(|error| Problem::internal(&error))
}

/// A result never changes but by another run of the job, which ends at another time.
fn tag_of(job: &Job, result: &JobResult) -> EntityTag {
    let finished_at = job.finished_at.map_or(0, |time| time.microseconds());
    EntityTag::new_strong(format!(
        "{}-{finished_at:x}-{:x}",
        job.id.as_uuid().simple(),
        result.body.size()
    ))
}

fn head(status: StatusCode, tag: EntityTag) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, REVALIDATE))
        .insert_header((header::VARY, JOB_VARY));
    response
}

/// The bytes may be anything, a page with scripts too: a browser that is led here must neither
/// guess what they are nor run them as part of this origin.
fn described(status: StatusCode, tag: EntityTag, result: &JobResult) -> HttpResponseBuilder {
    let media_type = HeaderValue::from_str(&result.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let mut response = head(status, tag);
    response
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"));
    if let Some(status) = result.status {
        response.insert_header((RESULT_STATUS.clone(), HeaderValue::from(status)));
    }
    response
}
