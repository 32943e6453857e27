//! `GET /v1/queues`: the queues in which jobs wait or run.

use actix_web::{http::StatusCode, web::Data};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{FIGURES, QueueView, example, visible};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag},
    reply::{self, Answer},
};

/// All of them, by name, on one page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QueuePage")]
struct QueuePage {
    items: Vec<QueueView>,
    next_cursor: Option<String>,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let example = json!({"items": [example()], "next_cursor": null});
    Operation::new(
        Tag::Service,
        "listQueues",
        "The queues in which jobs wait or run",
    )
    .says(FIGURES)
    .answers(Reply::json::<QueuePage>(
        200,
        "All of them, by name.",
        example,
    ))
}

/// Lists the queues. The figures change all the time, so they are not to be stored.
pub(crate) async fn get(caller: Caller, api: Data<Api>) -> Answer {
    let (census, queues) = visible(&caller, &api).await?;
    let items = queues
        .into_iter()
        .map(|(name, figures)| QueueView::of(name, &figures, census.taken_at))
        .collect();
    reply::json(
        StatusCode::OK,
        &QueuePage {
            items,
            next_cursor: None,
        },
    )
}
