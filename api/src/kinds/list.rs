//! `GET /v1/kinds`: what can be submitted.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use coatcheck_shared::job::KindName;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Kind;
use crate::{
    api::Api,
    body::JSON,
    caller::Caller,
    openapi::{Operation, Reply, Tag, field},
    reply::{self, Answer},
};

/// A kind on the wire.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Kind")]
struct KindView<'a> {
    /// Its name.
    name: &'a KindName,
    /// What it does.
    description: &'a str,
    /// Whether anything runs it.
    implemented: bool,
    /// The JSON Schema (2020-12) of its payload.
    payload_schema: &'a serde_json::Value,
    /// What the body of a submission may be, where its kind stands in the query.
    media_types: Vec<&'a str>,
}

/// All kinds, on one page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KindPage")]
struct KindPage<'a> {
    items: Vec<KindView<'a>>,
    next_cursor: Option<&'a str>,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let example = json!({
        "items": [{
            "name": "sleep",
            "description": "Sleeps for a number of milliseconds.",
            "implemented": true,
            "payload_schema": {"type": "object"},
            "media_types": ["application/json"],
        }],
        "next_cursor": null,
    });
    Operation::new(Tag::Kinds, "listKinds", "What can be submitted")
        .says("The built-in kinds, those of the workers, and those that the settings declare.")
        .conditional()
        .answers(
            Reply::json::<KindPage<'_>>(200, "All of them.", example)
                .always([field::ETAG, field::VARY]),
        )
        .answers(Reply::not_modified())
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
        name: &kind.definition.name,
        description: &kind.definition.description,
        implemented: kind.implemented,
        payload_schema: &kind.definition.payload_schema,
        media_types: match &kind.definition.media_types {
            Some(types) => types.iter().map(String::as_str).collect(),
            None => vec![JSON],
        },
    }
}
