//! `GET /v1/keys`: all keys, never their secrets.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use serde::Serialize;

use super::view::KeyView;
use crate::{
    api::Api,
    caller::Caller,
    query::Query,
    reply::{self, Answer},
};

/// All keys, oldest first, on one page.
#[derive(Serialize)]
struct KeyPage<'a> {
    items: Vec<KeyView<'a>>,
    next_cursor: Option<&'a str>,
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
