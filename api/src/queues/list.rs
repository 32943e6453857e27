//! `GET /v1/queues`: the queues in which jobs wait or run.

use actix_web::{http::StatusCode, web::Data};
use serde::Serialize;

use super::{QueueView, visible};
use crate::{
    api::Api,
    caller::Caller,
    reply::{self, Answer},
};

/// All of them, by name, on one page.
#[derive(Serialize)]
struct QueuePage {
    items: Vec<QueueView>,
    next_cursor: Option<String>,
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
