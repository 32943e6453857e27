//! A job as clients see it.

use actix_web::{
    HttpRequest, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{self, EntityTag},
    },
};
use coatcheck_shared::{
    job::{Failure, Job, JobId, KindName, Metadata, Priority, QueueName, State},
    timestamp::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::path_of;
use crate::{
    api::Api,
    openapi::{Reply, example, field},
    precondition,
    problem::Problem,
    reply::{self, Answer},
    retry_after,
};

/// The representation of a job. Every member is always there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(crate) struct JobView<'a> {
    /// Its identity.
    id: JobId,
    /// What is to be done.
    kind: &'a KindName,
    /// Where it waits.
    queue: &'a QueueName,
    /// Where it is.
    state: State,
    /// How urgent it is in its queue.
    priority: Priority,
    /// The number of its newest attempt, 0 before the first.
    attempt: u32,
    /// How many attempts it has in all.
    max_attempts: u32,
    /// When it was submitted.
    created_at: Timestamp,
    /// When it may start, or may start again.
    run_at: Timestamp,
    /// When its newest attempt began.
    started_at: Option<Timestamp>,
    /// When it was finished.
    finished_at: Option<Timestamp>,
    /// When it will be forgotten.
    expires_at: Option<Timestamp>,
    /// What its newest attempt last said of itself.
    progress: Option<ProgressView<'a>>,
    /// Why it failed, or why its newest attempt did where another follows.
    error: Option<&'a Failure>,
    /// The caller's own strings.
    metadata: &'a Metadata,
    /// The URLs of what belongs to it.
    links: Links,
}

/// How far a running job says it is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobProgress")]
struct ProgressView<'a> {
    /// Between 0 and 100.
    #[schemars(range(min = 0, max = 100))]
    percent: f32,
    /// What it is doing, in the handler's words.
    message: Option<&'a str>,
}

/// The URLs of what belongs to a job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobLinks")]
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
            kind: &job.kind,
            queue: &job.queue,
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
            result: [&job, "/result"].concat(),
            events: [&job, "/events"].concat(),
            cancel: [&job, "/cancel"].concat(),
            retry: [&job, "/retry"].concat(),
            job,
        }
    }
}

/// The strong tag of a job's representation.
pub(super) fn tag_of(job: &Job) -> Result<EntityTag, Problem> {
    Ok(precondition::tag_of(&reply::json_bytes(&JobView::of(job))?))
}

/// What the document says of [`found`].
pub(super) fn describe_found(says: &'static str, example: Value) -> Reply {
    Reply::json::<JobView<'_>>(200, says, example)
        .always([field::ETAG, field::VARY])
        .sometimes([field::RETRY_AFTER])
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

/// What the document says of [`accepted`].
pub(super) fn describe_accepted(says: &'static str) -> Reply {
    Reply::json::<JobView<'_>>(202, says, example::queued_job())
        .always([field::LOCATION, field::OPERATION_LOCATION, field::LINK])
        .sometimes([field::RETRY_AFTER])
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
