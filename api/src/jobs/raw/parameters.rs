//! The parameters of a submission whose body is the payload, as they are documented. What reads them
//! is what reads the fields of any submission; here are their names and schemas alone.

use coatcheck_shared::{
    job::{KindName, Priority, QueueName},
    timestamp::Timestamp,
};
use serde_json::{Value, json};

use super::super::{submission::MOST_ATTEMPTS, unique::LONGEST_KEY};
use crate::{
    fields::{LONGEST_METADATA_KEY, LONGEST_METADATA_VALUE, LONGEST_S, MOST_METADATA},
    openapi::{Parameter, schema},
};

/// They go with `kind` alone.
pub(in crate::jobs) const PARAMETERS: [Parameter; 14] = [
    Parameter::query(
        "kind",
        "With it the body is the payload itself, of this kind, in a media type that it takes. \
         Without it no other parameter may stand here: the body says it all.",
        schema::of::<KindName>,
    ),
    Parameter::query(
        "queue",
        "With `kind`: where it waits.",
        schema::of::<QueueName>,
    ),
    Parameter::query(
        "priority",
        "With `kind`: how urgent it is.",
        schema::of::<Priority>,
    ),
    Parameter::query(
        "run_at",
        "With `kind`: when it may start; not with `delay_s`.",
        schema::of::<Timestamp>,
    ),
    Parameter::query(
        "delay_s",
        "With `kind`: in how many seconds it may start; not with `run_at`.",
        || integer(0, LONGEST_S),
    ),
    Parameter::query(
        "max_attempts",
        "With `kind`: how often it may be run.",
        || integer(1, MOST_ATTEMPTS),
    ),
    Parameter::query(
        "timeout_s",
        "With `kind`: the longest that one attempt may take.",
        || integer(1, LONGEST_S),
    ),
    Parameter::query(
        "start_within_s",
        "With `kind`: it fails unless its first attempt begins in this time.",
        || integer(1, LONGEST_S),
    ),
    Parameter::query(
        "deadline_s",
        "With `kind`: it fails unless it is finished in this time.",
        || integer(1, LONGEST_S),
    ),
    Parameter::query(
        "retain_s",
        "With `kind`: how long it is kept once it is finished.",
        || integer(0, LONGEST_S),
    ),
    Parameter::query(
        "metadata",
        "With `kind`: strings of the caller's own, each as a parameter, as \
         `metadata.customer=42`.",
        metadata,
    ),
    Parameter::query(
        "unique.key",
        "With `kind`: a key that at most one job holds.",
        || json!({"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": WITHOUT_NUL}),
    ),
    Parameter::query(
        "unique.mode",
        "With `unique.key`: how long it is held.",
        || json!({"enum": ["while_active", "window", "replace"]}),
    ),
    Parameter::query(
        "unique.window_s",
        "With the mode `window` alone: for how long.",
        || integer(1, LONGEST_S),
    ),
];

const WITHOUT_NUL: &str = r"^[^\u0000]*$";

fn integer(least: u64, most: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

fn metadata() -> Value {
    json!({
        "type": "object",
        "maxProperties": MOST_METADATA,
        "propertyNames": {
            "pattern": r"^metadata\.[^\u0000]+$",
            "maxLength": "metadata.".len() + LONGEST_METADATA_KEY,
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": LONGEST_METADATA_VALUE,
            "pattern": WITHOUT_NUL,
        },
        // A page that shows the document fills its form with the example, and sends it.
        "examples": [{}],
    })
}
