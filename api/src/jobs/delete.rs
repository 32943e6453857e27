//! `DELETE /v1/jobs/{id}`: forgets a job.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use coatcheck_shared::{
    job::{Job, JobId},
    store::DeleteOutcome,
};

use super::{id_in_path, view};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag, parameter},
    precondition,
    problem::{Problem, ProblemType},
    reply::Answer,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Jobs, "deleteJob", "Forget a finished job")
        .says("With all that belongs to it.")
        .with([parameter::JOB_ID, parameter::IF_MATCH])
        .answers(Reply::empty(204, "It is forgotten."))
        .problems([
            ProblemType::JobNotFound,
            ProblemType::JobActive,
            ProblemType::PreconditionFailed,
        ])
}

/// Forgets a finished job with all that belongs to it.
pub(crate) async fn delete(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    if request.headers().contains_key(header::IF_MATCH) {
        require_match(&caller, &api, &request, id).await?;
    }
    let outcome = api.store.delete(&caller.tenant, id).await?;
    match outcome.ok_or_else(Problem::no_job)? {
        DeleteOutcome::Deleted => Ok(HttpResponse::NoContent().finish()),
        DeleteOutcome::Active(job) => Err(active(&job)),
    }
}

/// What is read here is what is deleted afterwards: a finished job changes only by a retry, and
/// then it stays, unless it has also finished anew within this one request.
async fn require_match(
    caller: &Caller,
    api: &Api,
    request: &HttpRequest,
    id: JobId,
) -> Result<(), Problem> {
    let job = api.store.get(&caller.tenant, id).await?;
    let tag = view::tag_of(&job.ok_or_else(Problem::no_job)?)?;
    precondition::require_meant(request, &tag)
}

fn active(job: &Job) -> Problem {
    let state = job.lifecycle.state;
    Problem::new(
        ProblemType::JobActive,
        format!("The job is {state}: only a finished one can be deleted."),
    )
    .with("state", state.as_str())
}
