//! `POST /v1/jobs/{id}/retry`: sends a job round again.

use actix_web::{HttpRequest, web::Data};
use coatcheck_shared::{
    job::Job,
    queue::{Hint, Lane},
    store::RetryOutcome,
};

use super::{id_in_path, view};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Tag, parameter},
    problem::{Problem, ProblemType},
    reply::Answer,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Jobs, "retryJob", "Send a job round again")
        .says("One that has failed or was cancelled, with at least one attempt before it.")
        .with([parameter::JOB_ID])
        .answers(view::describe_accepted("It is queued."))
        .problems([
            ProblemType::JobNotFound,
            ProblemType::JobNotRetryable,
            ProblemType::QuotaExceeded,
        ])
}

/// Queues a job that has failed or was cancelled, with at least one attempt before it.
pub(crate) async fn post(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    if api.quotas.are_set() {
        // What cannot be retried at all is told so, and counts for nothing.
        let job = api.store.get(&caller.tenant, id).await?;
        let job = job.ok_or_else(Problem::no_job)?;
        if job.lifecycle.retry().is_err() {
            return Err(refused(&job));
        }
        api.quotas.admit(&request, &caller.tenant, 1).await?;
    }
    let now = api.now();
    let outcome = api.store.retry(&caller.tenant, id, now).await?;
    match outcome.ok_or_else(Problem::no_job)? {
        RetryOutcome::Requeued(job) => {
            api.announcer.ready(Some(hint(&job)));
            view::accepted(&api, &job, |_| {})
        }
        RetryOutcome::Refused(job) => Err(refused(&job)),
    }
}

fn hint(job: &Job) -> Hint {
    Hint {
        id: job.id,
        lane: Lane {
            queue: job.queue.clone(),
            priority: job.priority,
        },
    }
}

fn refused(job: &Job) -> Problem {
    let state = job.lifecycle.state;
    Problem::new(
        ProblemType::JobNotRetryable,
        format!("The job is {state}: only one that is failed or cancelled can be retried."),
    )
    .with("state", state.as_str())
}
