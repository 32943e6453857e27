//! `POST /v1/keys`: makes a key, and shows its secret this once.

use std::{fmt::Display, str::FromStr};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Payload},
};
use coatcheck_shared::{
    api_key::{InvalidApiKey, IssuedApiKey, MOST_API_KEYS, NewApiKey, Scope},
    job::{KindName, QueueName, Tenant},
    timestamp::Timestamp,
};
use schemars::{JsonSchema, Schema};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};

use super::{path_of, view::KeyView};
use crate::{
    api::Api,
    caller::{Caller, insufficient},
    fields::{self, Fields},
    openapi::{Operation, Reply, Tag, field},
    precondition,
    problem::{FieldError, Problem, ProblemType},
    reply::{self, Answer},
};

/// The fields of a key, for who has used another.
const KNOWN: &str = "tenant, scopes, queues, kinds, expires_at";

/// How many names one list takes.
const MOST_NAMES: usize = 100;

/// A new key with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssuedKey")]
struct NewKeyView<'a> {
    #[serde(flatten)]
    key: KeyView<'a>,
    /// What callers show. It is never shown again.
    secret: &'a str,
}

/// A key to be made, as it is documented; [`read`] is what reads it.
#[derive(JsonSchema)]
#[schemars(rename = "NewKey", deny_unknown_fields, transform = unlimited_admin)]
#[expect(dead_code, reason = "for its schema alone")]
struct NewKeyBody {
    /// Whose jobs its holder sees and makes.
    tenant: Tenant,
    /// What it lets its holder do. A key with `admin` cannot be limited to queues or kinds.
    #[schemars(length(min = 1, max = MOST_NAMES))]
    scopes: Vec<Scope>,
    /// The queues it is good for; all where it does not say.
    #[schemars(length(min = 1, max = MOST_NAMES))]
    queues: Option<Vec<QueueName>>,
    /// The kinds it is good for; all where it does not say.
    #[schemars(length(min = 1, max = MOST_NAMES))]
    kinds: Option<Vec<KindName>>,
    /// When it ceases to be good, a time that is to come.
    expires_at: Option<Timestamp>,
}

/// What one field asks of another.
fn unlimited_admin(schema: &mut Schema) {
    let admin = Scope::Admin.as_str();
    schema.insert(
        "anyOf".to_owned(),
        json!([
            {"properties": {"scopes": {"not": {"contains": {"const": admin}}}}},
            {"properties": {"queues": {"type": "null"}, "kinds": {"type": "null"}}},
        ]),
    );
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let mut issued = super::example();
    issued["secret"] =
        json!("cck_00000000000000000000000000000000_0000000000000000000000000000000000000000000");
    Operation::new(Tag::Keys, "createKey", "Make a key")
        .says("Its secret is shown this once.")
        .takes::<NewKeyBody>([(
            "key",
            json!({"tenant": "a", "scopes": ["jobs:submit", "jobs:read"], "kinds": ["sleep"]}),
        )])
        .answers(
            Reply::json::<NewKeyView<'_>>(201, "The key and its secret.", issued)
                .always([field::LOCATION, field::ETAG]),
        )
        .problems([ProblemType::TooManyKeys])
}

/// Makes a key.
pub(crate) async fn post(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let body = api.bodies.json(&request, payload).await?;
    let new = read(&api, &body.bytes)?;
    if !caller.manages(&new.tenant) {
        let detail = format!("This key makes none for the tenant {}.", new.tenant);
        return Err(insufficient(Scope::Admin, detail));
    }
    if api.store.api_keys().await?.len() >= MOST_API_KEYS {
        return Err(Problem::new(
            ProblemType::TooManyKeys,
            format!("There are {MOST_API_KEYS} keys already."),
        ));
    }
    let issued = new
        .issue(&api.clock)
        .map_err(|error| Problem::internal(&error))?;
    api.store.insert_api_key(&issued.key).await?;
    tracing::info!(key = %issued.key.id, tenant = %issued.key.tenant, "a key was made");
    created(&issued)
}

fn created(issued: &IssuedApiKey) -> Answer {
    let tag = precondition::tag_of(&reply::json_bytes(&KeyView::of(&issued.key))?);
    let view = NewKeyView {
        key: KeyView::of(&issued.key),
        secret: issued.secret.expose_secret(),
    };
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, path_of(issued.key.id)))
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(reply::json_bytes(&view)?))
}

fn read(api: &Api, body: &[u8]) -> Result<NewApiKey, Problem> {
    let mut fields = Fields::of(body).map_err(malformed)?;
    let tenant = fields.required("tenant", fields::parsed::<Tenant>);
    if !fields.has("scopes") {
        fields.wrong("/scopes", "is required");
    }
    let new = NewApiKey {
        tenant: tenant.unwrap_or_default(),
        scopes: names(&mut fields, "scopes").unwrap_or_default(),
        queues: names(&mut fields, "queues"),
        kinds: names(&mut fields, "kinds"),
        expires_at: fields.optional("expires_at", fields::time),
    };
    let contradiction = new.check(api.now()).err();
    let mut errors = fields.into_errors(KNOWN);
    if let Some(error) = contradiction.filter(|_| errors.is_empty()) {
        errors.push(FieldError {
            pointer: pointer_of(error).to_owned(),
            detail: error.to_string(),
        });
    }
    if errors.is_empty() {
        return Ok(new);
    }
    Err(Problem::fields(
        ProblemType::InvalidRequest,
        "Fields of the key are wrong: see `errors`.",
        errors,
    ))
}

fn pointer_of(error: InvalidApiKey) -> &'static str {
    match error {
        InvalidApiKey::NoScope | InvalidApiKey::LimitedAdmin => "/scopes",
        InvalidApiKey::Expired => "/expires_at",
    }
}

/// A list of different names; each that is wrong is noted.
fn names<T>(fields: &mut Fields<'_>, name: &str) -> Option<Vec<T>>
where
    T: FromStr + PartialEq,
    T::Err: Display,
{
    let items = fields.optional(name, list)?;
    let mut names = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        match fields::parsed::<T>(item) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(detail) => fields.wrong(&format!("/{name}/{place}"), detail),
        }
    }
    Some(names)
}

fn list(value: &Value) -> Result<Vec<Value>, String> {
    value
        .as_array()
        .filter(|items| (1..=MOST_NAMES).contains(&items.len()))
        .cloned()
        .ok_or_else(|| format!("must be a list of 1 to {MOST_NAMES} names"))
}

fn malformed(error: FieldError) -> Problem {
    Problem::fields(
        ProblemType::MalformedJson,
        "The body is not JSON that this server takes: see `errors`.",
        vec![error],
    )
}
