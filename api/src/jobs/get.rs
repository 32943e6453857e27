//! `GET /v1/jobs/{id}`: a job, at once or as soon as it is finished.

use actix_web::{HttpRequest, web::Data};

use super::{id_in_path, view, wait};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag, example, field, parameter},
    prefer::{PREFERENCE_APPLIED, Preferences},
    problem::{Problem, ProblemType},
    reply::Answer,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Jobs, "getJob", "A job as it stands")
        .says(
            "With `Prefer: wait=N` it is answered as soon as the job is finished, or after N \
             seconds. A failed job is a 200 as well: its `error` says why.",
        )
        .with([parameter::JOB_ID, parameter::PREFER])
        .conditional()
        .answers(
            view::describe_found("The job.", example::running_job())
                .sometimes([field::PREFERENCE_APPLIED]),
        )
        .answers(Reply::not_modified().sometimes([field::RETRY_AFTER, field::PREFERENCE_APPLIED]))
        .problems([ProblemType::JobNotFound])
}

/// Shows a job.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    let preferences = Preferences::of(&request, api.longest_wait_s);
    let job = match preferences.wait() {
        Some(longest) => wait::until_finished(&api, &caller, id, longest).await?,
        None => api.store.get(&caller.tenant, id).await?,
    };
    let job = job.ok_or_else(Problem::no_job)?;
    view::found(&request, &api, &job, |response| {
        if let Some(applied) = preferences.applied_wait() {
            response.insert_header((PREFERENCE_APPLIED.clone(), applied));
        }
    })
}
