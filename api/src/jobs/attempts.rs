//! `GET /v1/jobs/{id}/attempts`: the history of a job's attempts.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use coatcheck_shared::{
    job::{Attempt, AttemptOutcome, Failure},
    timestamp::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::id_in_path;
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag, field, parameter},
    problem::{Problem, ProblemType},
    reply::{self, Answer},
};

/// An attempt on the wire.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
struct AttemptView<'a> {
    /// Its number, from 1.
    number: u32,
    /// When it began.
    started_at: Timestamp,
    /// When it ended; null while it runs.
    finished_at: Option<Timestamp>,
    /// The worker process that ran it.
    worker: Option<&'a str>,
    /// How it ended; null while it runs.
    outcome: Option<AttemptOutcome>,
    /// Why it failed.
    error: Option<&'a Failure>,
}

/// All attempts, oldest first, on one page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttemptPage")]
struct AttemptPage<'a> {
    items: Vec<AttemptView<'a>>,
    next_cursor: Option<&'a str>,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let example = json!({
        "items": [{
            "number": 1,
            "started_at": "2026-11-23T09:00:47.337006Z",
            "finished_at": "2026-11-23T09:00:59.739391Z",
            "worker": "vm-29984",
            "outcome": "crashed",
            "error": {"type": "worker-lost", "message": "the worker died during attempt 1"},
        }],
        "next_cursor": null,
    });
    Operation::new(
        Tag::Jobs,
        "listAttempts",
        "A job's attempts and how each ended",
    )
    .with([parameter::JOB_ID])
    .conditional()
    .answers(
        Reply::json::<AttemptPage<'_>>(200, "All of them, oldest first.", example)
            .always([field::ETAG, field::VARY]),
    )
    .answers(Reply::not_modified())
    .problems([ProblemType::JobNotFound])
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
