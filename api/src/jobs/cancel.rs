//! `POST /v1/jobs/{id}/cancel`: calls a job off.

use actix_web::{HttpRequest, web::Data};
use coatcheck_shared::{job::Job, signal::Signal, store::CancelOutcome};

use super::{id_in_path, view};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Tag, example, parameter},
    problem::{Problem, ProblemType},
    reply::Answer,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Jobs, "cancelJob", "Call a job off")
        .with([parameter::JOB_ID])
        .answers(view::describe_found(
            "It is cancelled, or had been already.",
            example::cancelled_job(),
        ))
        .answers(view::describe_accepted(
            "It runs, and has been told to stop. It is cancelled within the grace.",
        ))
        .problems([ProblemType::JobNotFound, ProblemType::JobFinished])
}

/// Cancels a waiting job at once, tells a running one to stop.
pub(crate) async fn post(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    let now = api.now();
    let outcome = api.store.cancel(&caller.tenant, id, now).await?;
    match outcome.ok_or_else(Problem::no_job)? {
        CancelOutcome::Cancelled(job) => {
            api.announcer.signal(Signal::Finished(vec![id]));
            view::found(&request, &api, &job, |_| {})
        }
        CancelOutcome::Requested(job) => {
            api.announcer.signal(Signal::CancelRequested(vec![id]));
            view::accepted(&api, &job, |_| {})
        }
        CancelOutcome::AlreadyCancelled(job) => view::found(&request, &api, &job, |_| {}),
        CancelOutcome::Finished(job) => Err(finished(&job)),
    }
}

fn finished(job: &Job) -> Problem {
    let state = job.lifecycle.state;
    Problem::new(
        ProblemType::JobFinished,
        format!("The job has {state} already, it cannot be cancelled."),
    )
    .with("state", state.as_str())
}
