//! `GET /v1/kinds`: what can be submitted.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use serde::Serialize;

use super::Kind;
use crate::{
    api::Api,
    body::JSON,
    caller::Caller,
    reply::{self, Answer},
};

/// A kind on the wire.
#[derive(Serialize)]
struct KindView<'a> {
    name: &'a str,
    description: &'a str,
    implemented: bool,
    payload_schema: &'a serde_json::Value,
    /// What the body of a submission may be, where its kind stands in the query.
    media_types: Vec<&'a str>,
}

/// All kinds, on one page.
#[derive(Serialize)]
struct KindPage<'a> {
    items: Vec<KindView<'a>>,
    next_cursor: Option<&'a str>,
}

/// Lists the kinds.
pub(crate) async fn get(_: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let kinds = api.kinds.all();
    let page = KindPage {
        items: kinds.values().map(|kind| view(kind)).collect(),
        next_cursor: None,
    };
    reply::revalidated_json(&request, StatusCode::OK, &page, |_| {})
}

fn view(kind: &Kind) -> KindView<'_> {
    KindView {
        name: kind.definition.name.as_str(),
        description: &kind.definition.description,
        implemented: kind.implemented,
        payload_schema: &kind.definition.payload_schema,
        media_types: match &kind.definition.media_types {
            Some(types) => types.iter().map(String::as_str).collect(),
            None => vec![JSON],
        },
    }
}
