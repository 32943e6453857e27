//! `GET /v1/queues/{queue}`: one queue.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use coatcheck_shared::job::QueueName;
use serde_json::json;

use super::{FIGURES, QueueView, example, visible};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Parameter, Reply, Tag},
    problem::{Problem, ProblemType},
    reply::{self, Answer},
};

/// The name of a queue.
const QUEUE: Parameter = Parameter::path(
    "queue",
    "The queue's name.",
    || json!({"type": "string", "pattern": "^[a-z0-9_.-]{1,64}$", "examples": ["default"]}),
);

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(
        Tag::Service,
        "getQueue",
        "How much waits and runs in one queue",
    )
    .says(FIGURES)
    .with([QUEUE])
    .answers(Reply::json::<QueueView>(
        200,
        "The queue; one without jobs is empty.",
        example(),
    ))
    .problems([ProblemType::QueueNotFound])
}

/// Shows a queue. A queue is made on first use, so one without jobs is there, and empty: what
/// scales workers has to see a nought.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let name = request.match_info().get("queue").unwrap_or_default();
    let name: QueueName = name
        .parse()
        .map_err(|_| Problem::new(ProblemType::QueueNotFound, "No queue has such a name."))?;
    let (census, mut queues) = visible(&caller, &api).await?;
    let figures = queues.remove(&name).unwrap_or_default();
    reply::json(
        StatusCode::OK,
        &QueueView::of(name, &figures, census.taken_at),
    )
}
