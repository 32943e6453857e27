//! A submission as it is documented. Its fields are read one by one, so that one answer names every
//! wrong one; here they stand as a type, for its schema alone.

use coatcheck_shared::{
    job::{KindName, Priority, QueueName},
    kind::{KindPayload, command::CommandPayload, http::HttpPayload, sleep::SleepPayload},
    timestamp::Timestamp,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::MOST_ATTEMPTS;
use crate::{
    fields::{LONGEST_METADATA_KEY, LONGEST_METADATA_VALUE, LONGEST_S, MOST_METADATA},
    jobs::unique::LONGEST_KEY,
};

/// The title of the alternative for the kinds that are not built in.
const OTHER_KINDS: &str = "a kind of this server's own";

/// A document for a server that has no other kinds than the built-in ones: where it takes no other,
/// the schema says so. Those that it has are not named, for everyone reads the document.
pub(crate) fn without_other_kinds(document: &mut Value) {
    let alternatives = &mut document["components"]["schemas"][SCHEMA]["oneOf"];
    if let Some(alternatives) = alternatives.as_array_mut() {
        alternatives.retain(|each| each["title"] != OTHER_KINDS);
    }
}

const SCHEMA: &str = "Submission";

/// A job to be done. What is absent or null gets its default.
#[derive(JsonSchema)]
#[schemars(rename = "Submission", deny_unknown_fields, transform = by_kind)]
#[expect(dead_code, reason = "for its schema alone")]
pub(in crate::jobs) struct SubmissionBody {
    /// What to do: a built-in kind, or one of the workers' own (`GET /v1/kinds`).
    kind: KindName,
    /// With what to do it; it must fit the schema of its kind.
    #[schemars(schema_with = "payload")]
    payload: Value,
    /// Where it waits; `default` where it does not say. A queue is made on first use.
    queue: Option<QueueName>,
    /// How urgent it is in its queue; `normal` where it does not say.
    priority: Option<Priority>,
    /// When it may start; not with `delay_s`.
    run_at: Option<Timestamp>,
    /// In how many seconds it may start; not with `run_at`.
    #[schemars(range(min = 0, max = LONGEST_S))]
    delay_s: Option<u64>,
    /// How often it may be run.
    #[schemars(range(min = 1, max = MOST_ATTEMPTS))]
    max_attempts: Option<u64>,
    /// The longest that one attempt may take, the reading of a large payload included.
    #[schemars(range(min = 1, max = LONGEST_S))]
    timeout_s: Option<u64>,
    /// It fails unless its first attempt begins in this time.
    #[schemars(range(min = 1, max = LONGEST_S))]
    start_within_s: Option<u64>,
    /// It fails unless it is finished in this time.
    #[schemars(range(min = 1, max = LONGEST_S))]
    deadline_s: Option<u64>,
    /// How long it is kept once it is finished.
    #[schemars(range(min = 0, max = LONGEST_S))]
    retain_s: Option<u64>,
    /// Strings of the caller's own, to filter by.
    #[schemars(default, schema_with = "metadata")]
    metadata: Option<()>,
    /// A key that at most one job holds.
    unique: Option<UniqueBody>,
}

/// A key that at most one job holds.
#[derive(JsonSchema)]
#[schemars(rename = "Unique", deny_unknown_fields, transform = by_mode)]
#[expect(dead_code, reason = "for its schema alone")]
struct UniqueBody {
    /// The key, the tenant's own.
    #[schemars(length(min = 1, max = LONGEST_KEY), regex(pattern = r"^[^\u0000]*$"))]
    key: String,
    /// How long it is held: `while_active` (where it does not say), until the job is finished;
    /// `window`, for `window_s` from the submission; `replace`, as `while_active`, but a waiting
    /// job is called off for the new one.
    #[schemars(extend("enum" = ["while_active", "window", "replace", null]))]
    mode: Option<String>,
    /// With the mode `window` alone.
    #[schemars(range(min = 1, max = LONGEST_S))]
    window_s: Option<u64>,
}

/// What one field asks of another: the payload fits its kind, and there is one start. Written as
/// alternatives, for those who generate values.
fn by_kind(schema: &mut Schema) {
    let built_in = |kind: &str, payload: &str| {
        json!({
            "title": kind,
            "properties": {
                "kind": {"const": kind},
                "payload": {"$ref": format!("#/components/schemas/{payload}")},
            },
        })
    };
    schema.insert(
        "oneOf".to_owned(),
        json!([
            built_in(SleepPayload::KIND, "SleepPayload"),
            built_in(HttpPayload::KIND, "HttpPayload"),
            built_in(CommandPayload::KIND, "CommandPayload"),
            {
                "title": OTHER_KINDS,
                "properties": {"kind": {"not": {"enum": [
                    SleepPayload::KIND,
                    HttpPayload::KIND,
                    CommandPayload::KIND,
                ]}}},
            },
        ]),
    );
    schema.insert(
        "anyOf".to_owned(),
        json!([
            {"properties": {"run_at": {"type": "null"}}},
            {"properties": {"delay_s": {"type": "null"}}},
        ]),
    );
}

/// Anything; but the document must have the schemas that the alternatives of [`by_kind`] refer to.
fn payload(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<SleepPayload>();
    generator.subschema_for::<HttpPayload>();
    generator.subschema_for::<CommandPayload>();
    Schema::default()
}

fn by_mode(schema: &mut Schema) {
    schema.insert(
        "oneOf".to_owned(),
        json!([
            {"properties": {
                "mode": {"enum": ["while_active", "replace", null]},
                "window_s": {"type": "null"},
            }},
            {
                "required": ["mode", "window_s"],
                "properties": {"mode": {"const": "window"}, "window_s": {"type": "integer"}},
            },
        ]),
    );
}

fn metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "maxProperties": MOST_METADATA,
        "propertyNames": {
            "minLength": 1,
            "maxLength": LONGEST_METADATA_KEY,
            "pattern": WITHOUT_NUL,
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": LONGEST_METADATA_VALUE,
            "pattern": WITHOUT_NUL,
        },
    })
}

const WITHOUT_NUL: &str = r"^[^\u0000]*$";
