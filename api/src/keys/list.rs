//! `GET /v1/keys`: all keys, never their secrets.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::view::KeyView;
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Reply, Tag, field},
    problem::ProblemType,
    query::Query,
    reply::{self, Answer},
};

/// All keys, oldest first, on one page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyPage")]
struct KeyPage<'a> {
    items: Vec<KeyView<'a>>,
    next_cursor: Option<&'a str>,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let example = json!({"items": [super::example()], "next_cursor": null});
    Operation::new(Tag::Keys, "listKeys", "The keys that the caller manages")
        .says("The operator's administrators manage all tenants' keys, others their own tenant's.")
        .conditional()
        .answers(
            Reply::json::<KeyPage<'_>>(200, "All of them, oldest first.", example)
                .always([field::ETAG, field::VARY]),
        )
        .answers(Reply::not_modified())
        .problems([ProblemType::InvalidParameter])
}

/// Lists the keys.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    Query::of(&request).finish("none")?;
    let keys = super::managed(&api, &caller).await?;
    let page = KeyPage {
        items: keys.iter().map(KeyView::of).collect(),
        next_cursor: None,
    };
    reply::revalidated_json(&request, StatusCode::OK, &page, |_| {})
}
