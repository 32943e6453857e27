//! `GET /v1/jobs/{id}`: a job, at once or as soon as it is finished.

use actix_web::{HttpRequest, web::Data};

use super::{id_in_path, view, wait};
use crate::{
    api::Api,
    caller::Caller,
    prefer::{PREFERENCE_APPLIED, Preferences},
    problem::Problem,
    reply::Answer,
};

/// Shows a job.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    let preferences = Preferences::of(&request, api.longest_wait_s);
    let job = match preferences.wait() {
        Some(longest) => wait::until_finished(&api, &caller.tenant, id, longest).await?,
        None => api.store.get(&caller.tenant, id).await?,
    };
    let job = job.ok_or_else(Problem::no_job)?;
    view::found(&request, &api, &job, |response| {
        if let Some(applied) = preferences.applied_wait() {
            response.insert_header((PREFERENCE_APPLIED.clone(), applied));
        }
    })
}
