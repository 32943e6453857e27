//! A job as clients see it.

use actix_web::{
    HttpRequest, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, EntityTag},
    },
};
use coatcheck_shared::{
    job::{Failure, Job, JobId, Metadata, Priority, State},
    timestamp::Timestamp,
};
use serde::Serialize;

use super::path_of;
use crate::{
    api::Api,
    precondition,
    problem::Problem,
    reply::{self, Answer},
    retry_after,
};

/// The representation of a job. Every member is always there.
#[derive(Serialize)]
pub(crate) struct JobView<'a> {
    id: JobId,
    kind: &'a str,
    queue: &'a str,
    state: State,
    priority: Priority,
    attempt: u32,
    max_attempts: u32,
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    progress: Option<ProgressView<'a>>,
    error: Option<&'a Failure>,
    metadata: &'a Metadata,
    links: Links,
}

#[derive(Serialize)]
struct ProgressView<'a> {
    percent: f32,
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    job: String,
    result: String,
    events: String,
    cancel: String,
    retry: String,
}

impl<'a> JobView<'a> {
    /// The representation of a job.
    pub(crate) fn of(job: &'a Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind.as_str(),
            queue: job.queue.as_str(),
            state: job.lifecycle.state,
            priority: job.priority,
            attempt: job.lifecycle.attempt,
            max_attempts: job.lifecycle.max_attempts,
            created_at: job.created_at,
            run_at: job.run_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            expires_at: job.expires_at,
            progress: job.progress.as_ref().map(|progress| ProgressView {
                // What is done is done, whatever its handler last said.
                percent: match job.lifecycle.state {
                    State::Succeeded => 100.0,
                    _ => progress.percent,
                },
                message: progress.message.as_deref(),
            }),
            error: job.failure.as_ref(),
            metadata: &job.metadata,
            links: Links::of(job.id),
        }
    }
}

impl Links {
    fn of(id: JobId) -> Self {
        let job = path_of(id);
        Self {
            result: format!("{job}/result"),
            events: format!("{job}/events"),
            cancel: format!("{job}/cancel"),
            retry: format!("{job}/retry"),
            job,
        }
    }
}

/// The strong tag of a job's representation.
pub(super) fn tag_of(job: &Job) -> Result<EntityTag, Problem> {
    Ok(precondition::tag_of(&reply::json_bytes(&JobView::of(job))?))
}

/// 200 with a job, `Retry-After` while it is not finished; 304 for who has it already.
pub(super) fn found(
    request: &HttpRequest,
    api: &Api,
    job: &Job,
    extend: impl FnOnce(&mut HttpResponseBuilder),
) -> Answer {
    reply::revalidated_json(request, StatusCode::OK, &JobView::of(job), |response| {
        if let Some(seconds) = retry_after::seconds(api, job) {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        extend(response);
    })
}

/// 202 with a job that is yet to do what was asked, and where to follow it.
pub(super) fn accepted(
    api: &Api,
    job: &Job,
    extend: impl FnOnce(&mut HttpResponseBuilder),
) -> Answer {
    let path = path_of(job.id);
    let mut response = actix_web::HttpResponse::Accepted();
    response
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::LINK, format!("<{path}>; rel=\"monitor\"")))
        .insert_header(("operation-location", path.as_str()))
        .insert_header((header::LOCATION, path));
    if let Some(seconds) = retry_after::seconds(api, job) {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    extend(&mut response);
    Ok(response.body(reply::json_bytes(&JobView::of(job))?))
}
