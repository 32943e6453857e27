//! The filters of a list, as they stand in the query.

use coatcheck_shared::{
    job::{JobFilter, KindName, QueueName, State},
    timestamp::Timestamp,
};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    openapi::{Parameter, schema},
    query::Query,
};

/// The parameters that filter, for who has used another.
pub(super) const KNOWN: &str = "state, kind, queue, created_after, created_before, metadata.KEY";

/// How many values one filter takes.
const MOST_VALUES: usize = 100;

/// The parameters, described.
pub(super) const PARAMETERS: [Parameter; 6] = [
    Parameter::query("state", "In one of these states.", values::<State>),
    Parameter::query("kind", "Of one of these kinds.", values::<KindName>),
    Parameter::query("queue", "In one of these queues.", values::<QueueName>),
    Parameter::query(
        "created_after",
        "Submitted after this time.",
        schema::of::<Timestamp>,
    ),
    Parameter::query(
        "created_before",
        "Submitted before this time.",
        schema::of::<Timestamp>,
    ),
    Parameter::query(
        "metadata",
        "With these strings of the caller's own, each as a parameter, as \
         `metadata.customer=42`.",
        || {
            json!({
                "type": "object",
                "propertyNames": {"pattern": "^metadata\\.[^\\u0000]*$"},
                "additionalProperties": {"type": "string", "pattern": "^[^\\u0000]*$"},
                "maxProperties": MOST_VALUES,
                // A page that shows the document fills its form with the example, and sends it.
                "examples": [{}],
            })
        },
    ),
];

/// A list of values, any of which will do.
fn values<T: JsonSchema>() -> Value {
    json!({
        "type": "array",
        "items": schema::of::<T>(),
        "minItems": 1,
        "maxItems": MOST_VALUES,
    })
}

/// Reads the filters, noting what is wrong with them; nothing comes through that the caller may
/// not see.
pub(super) fn read(query: &mut Query<'_>, caller: &Caller) -> JobFilter {
    let filter = JobFilter {
        states: query.many("state", |text| {
            text.parse::<State>().map_err(|error| error.to_string())
        }),
        kinds: query.many("kind", |text| {
            text.parse::<KindName>().map_err(|error| error.to_string())
        }),
        queues: query.many("queue", |text| {
            text.parse::<QueueName>().map_err(|error| error.to_string())
        }),
        created_after: query.one("created_after", time),
        created_before: query.one("created_before", time),
        metadata: query.prefixed("metadata."),
        ..JobFilter::default()
    };
    for (name, count) in [
        ("state", filter.states.len()),
        ("kind", filter.kinds.len()),
        ("queue", filter.queues.len()),
        ("metadata", filter.metadata.len()),
    ] {
        if count > MOST_VALUES {
            query.wrong(name, format!("has more than {MOST_VALUES} values"));
        }
    }
    if filter
        .metadata
        .iter()
        .any(|(key, value)| key.contains('\0') || value.contains('\0'))
    {
        query.wrong("metadata", "must not contain the character U+0000");
    }
    caller.narrow(filter)
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "must be an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned())
}
