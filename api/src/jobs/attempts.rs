//! `GET /v1/jobs/{id}/attempts`: the history of a job's attempts.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use coatcheck_shared::{
    job::{Attempt, AttemptOutcome, Failure},
    timestamp::Timestamp,
};
use serde::Serialize;

use super::id_in_path;
use crate::{
    api::Api,
    caller::Caller,
    problem::Problem,
    reply::{self, Answer},
};

/// An attempt on the wire.
#[derive(Serialize)]
struct AttemptView<'a> {
    number: u32,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    worker: Option<&'a str>,
    outcome: Option<AttemptOutcome>,
    error: Option<&'a Failure>,
}

/// All attempts, oldest first, on one page.
#[derive(Serialize)]
struct AttemptPage<'a> {
    items: Vec<AttemptView<'a>>,
    next_cursor: Option<&'a str>,
}

/// Lists the attempts.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    let attempts = api
        .store
        .attempts(&caller.tenant, id)
        .await?
        .ok_or_else(Problem::no_job)?;
    let page = AttemptPage {
        items: attempts.iter().map(view).collect(),
        next_cursor: None,
    };
    reply::revalidated_json(&request, StatusCode::OK, &page, |_| {})
}

fn view(attempt: &Attempt) -> AttemptView<'_> {
    AttemptView {
        number: attempt.number,
        started_at: attempt.started_at,
        finished_at: attempt.finished_at,
        worker: attempt.worker.as_deref(),
        outcome: attempt.outcome,
        error: attempt.failure.as_ref(),
    }
}
