//! The endpoints about keys, one a file. They are an administrator's.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
mod view;

use actix_web::HttpRequest;
use coatcheck_shared::api_key::ApiKey;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    api::Api,
    caller::Caller,
    openapi::Parameter,
    problem::{Problem, ProblemType},
};

/// The id of a key.
const KEY_ID: Parameter = Parameter::path("id", "The key's id.", || {
    json!({
        "type": "string",
        "format": "uuid",
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "examples": [EXAMPLE_ID],
    })
});

const EXAMPLE_ID: &str = "01a207ea-0c1d-7aa3-9cd4-66a0d02c5a10";

/// A key as it may look.
fn example() -> Value {
    json!({
        "id": EXAMPLE_ID,
        "tenant": "a",
        "scopes": ["jobs:submit", "jobs:read"],
        "queues": null,
        "kinds": ["sleep"],
        "created_at": "2026-11-23T10:18:29.765187Z",
        "expires_at": null,
        "links": {"self": format!("/v1/keys/{EXAMPLE_ID}")},
    })
}

/// The URL of a key.
fn path_of(id: Uuid) -> String {
    format!("/v1/keys/{id}")
}

/// That there is no such key. The same for every reason, so that nothing leaks.
fn no_key() -> Problem {
    Problem::new(ProblemType::KeyNotFound, "There is no key with this id.")
}

/// The keys that the caller manages, oldest first.
async fn managed(api: &Api, caller: &Caller) -> Result<Vec<ApiKey>, Problem> {
    let mut keys = api.store.api_keys().await?;
    keys.retain(|key| caller.manages(&key.tenant));
    Ok(keys)
}

/// The key in the path, where the caller manages it.
async fn in_path(api: &Api, caller: &Caller, request: &HttpRequest) -> Result<ApiKey, Problem> {
    let text = request.match_info().get("id").unwrap_or_default();
    let id = Uuid::try_parse(text).map_err(|_| no_key())?;
    // One spelling alone, so that one key has one URL.
    if id.to_string() != text {
        return Err(no_key());
    }
    let keys = managed(api, caller).await?;
    keys.into_iter().find(|key| key.id == id).ok_or_else(no_key)
}
