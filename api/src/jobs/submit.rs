//! `POST /v1/jobs`: takes a job in.

use actix_web::{
    HttpRequest,
    http::header,
    web::{Data, Payload},
};
use coatcheck_shared::job::{Job, JobId};

use super::{path_of, submission::Submission, view, wait};
use crate::{
    api::Api,
    caller::Caller,
    prefer::{PREFERENCE_APPLIED, Preferences},
    reply::Answer,
    trace_context,
};

/// Stores a job and answers 202, or 200 where it finished while the client was willing to wait.
pub(crate) async fn post(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let preferences = Preferences::of(&request, api.longest_wait_s);
    let body = api.bodies.json(&request, payload).await?;
    let submission = Submission::read(&api, &body.bytes).await?;
    let id = JobId::generate(&api.clock);
    let new = submission.into_job(
        id,
        caller.tenant.clone(),
        api.now(),
        &api.defaults,
        trace_context::of(request.headers(), id),
    );
    let mut job = described(&new);
    api.intake.accept(new).await?;
    drop(body);
    if let Some(longest) = preferences.wait() {
        // The job is stored: not even a fault on the way back may turn this into a failure.
        if let Ok(Some(current)) = wait::until_finished(&api, &caller.tenant, id, longest).await {
            job = current;
        }
        if job.lifecycle.state.is_terminal() {
            return finished_in_time(&request, &job, &api, preferences);
        }
    }
    view::accepted(&job, api.now(), |response| {
        if let Some(applied) = preferences.applied_async() {
            response.insert_header((PREFERENCE_APPLIED.clone(), applied));
        }
    })
}

/// The job as it will stand in the store, without holding on to its payload.
fn described(new: &coatcheck_shared::job::NewJob) -> Job {
    let mut copy = new.clone();
    copy.payload = bytes::Bytes::new();
    copy.into_job()
}

fn finished_in_time(
    request: &HttpRequest,
    job: &Job,
    api: &Api,
    preferences: Preferences,
) -> Answer {
    view::found(request, job, api.now(), |response| {
        response.insert_header((header::CONTENT_LOCATION, path_of(job.id)));
        if let Some(applied) = preferences.applied_wait() {
            response.insert_header((PREFERENCE_APPLIED.clone(), applied));
        }
    })
}
