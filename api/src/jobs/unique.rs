//! `unique`: the key that at most one job holds.

use std::time::Duration;

use coatcheck_shared::job::{JobId, Unique, UniqueMode};
use serde_json::{Map, Value};

use super::path_of;
use crate::{
    fields::{self, Fields},
    problem::{FieldError, Problem, ProblemType},
    strict_json::push_segment,
};

/// The members of `unique`, for who has used another.
const KNOWN: [&str; 3] = ["key", "mode", "window_s"];

pub(super) const LONGEST_KEY: usize = 255;

/// Reads `unique`, none where it is absent or wrong.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Unique> {
    let mut wrong = Vec::new();
    let unique = fields.optional("unique", |value| {
        let members = value.as_object().ok_or("must be an object with a key")?;
        Ok(of_members(members, &mut wrong))
    });
    fields.all_wrong(wrong);
    unique.flatten()
}

/// That another job holds the key.
pub(super) fn exists(job: JobId) -> Problem {
    Problem::new(
        ProblemType::UniqueJobExists,
        "Another job holds this unique key: see `existing_job`.",
    )
    .with("existing_job", path_of(job))
}

fn of_members(members: &Map<String, Value>, wrong: &mut Vec<FieldError>) -> Option<Unique> {
    let mut fault = |member: &str, detail: String| {
        let mut pointer = "/unique".to_owned();
        push_segment(&mut pointer, member);
        wrong.push(FieldError { pointer, detail });
    };
    for unknown in members
        .keys()
        .filter(|name| !KNOWN.contains(&name.as_str()))
    {
        let known = KNOWN.join(", ");
        fault(unknown, format!("no such field; there are {known}"));
    }
    let given = |member: &str| members.get(member).filter(|value| !value.is_null());
    let key = match given("key").map_or_else(|| Err("is required".to_owned()), key) {
        Ok(key) => Some(key),
        Err(detail) => {
            fault("key", detail);
            None
        }
    };
    match mode(given("mode"), given("window_s")) {
        Ok(mode) => Some(Unique { key: key?, mode }),
        Err((member, detail)) => {
            fault(member, detail);
            None
        }
    }
}

fn key(value: &Value) -> Result<String, String> {
    value
        .as_str()
        .filter(|key| (1..=LONGEST_KEY).contains(&key.chars().count()) && !key.contains('\0'))
        .map(str::to_owned)
        .ok_or_else(|| format!("must be a string of 1 to {LONGEST_KEY} characters without U+0000"))
}

/// The mode, or which member is wrong and why.
fn mode(
    mode: Option<&Value>,
    window: Option<&Value>,
) -> Result<UniqueMode, (&'static str, String)> {
    let named = mode.map_or(Some("while_active"), Value::as_str);
    match (named, window) {
        (Some("while_active"), None) => Ok(UniqueMode::WhileActive),
        (Some("replace"), None) => Ok(UniqueMode::Replace),
        (Some("window"), Some(window)) => self::window(window),
        (Some("window"), None) => Err(("window_s", "is required with mode \"window\"".to_owned())),
        (Some("while_active" | "replace"), Some(_)) => {
            Err(("window_s", "goes with mode \"window\" alone".to_owned()))
        }
        _ => Err((
            "mode",
            "must be \"while_active\", \"window\" or \"replace\"".to_owned(),
        )),
    }
}

fn window(value: &Value) -> Result<UniqueMode, (&'static str, String)> {
    let window: Duration = fields::seconds(value, 1).map_err(|detail| ("window_s", detail))?;
    Ok(UniqueMode::Window(window))
}
