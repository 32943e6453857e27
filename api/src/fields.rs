//! Reading the fields of a body so that one answer names every wrong one.

use std::{collections::BTreeMap, time::Duration};

use coatcheck_shared::{job::Metadata, timestamp::Timestamp};
use serde_json::{Map, Value};

use crate::{
    problem::{FieldError, MOST_FIELD_ERRORS},
    strict_json::{self, Member, push_segment},
};

/// The longest duration that a field takes: ten years.
pub(crate) const LONGEST_S: u64 = 10 * 365 * 86_400;

/// The bounds of `metadata`.
pub(crate) const MOST_METADATA: usize = 64;
pub(crate) const LONGEST_METADATA_KEY: usize = 64;
pub(crate) const LONGEST_METADATA_VALUE: usize = 1_024;

/// The fields of a body that have not been read yet, and what was wrong with those that have.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    unread: BTreeMap<String, Member<'a>>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// The fields of a body.
    ///
    /// # Errors
    /// Where it is not acceptable JSON.
    pub(crate) fn of(body: &'a [u8]) -> Result<Self, FieldError> {
        let members = strict_json::members(body)?;
        Ok(Self {
            unread: members
                .into_iter()
                .map(|member| (member.name.clone(), member))
                .collect(),
            errors: Vec::new(),
        })
    }

    /// Fields that do not come out of a body, and so have no bytes.
    pub(crate) fn of_values(values: Map<String, Value>) -> Self {
        let member = |(name, value): (String, Value)| {
            let member = Member {
                name: name.clone(),
                value,
                raw: "",
            };
            (name, member)
        };
        Self {
            unread: values.into_iter().map(member).collect(),
            errors: Vec::new(),
        }
    }

    /// A field with its bytes, whatever it is; none where it is absent.
    pub(crate) fn member(&mut self, name: &str) -> Option<Member<'a>> {
        self.unread.remove(name)
    }

    /// A field as `read` understands it; none where it is absent, null or wrong.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let member = self.unread.remove(name)?;
        if member.value.is_null() {
            return None;
        }
        match read(&member.value) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.wrong(&format!("/{name}"), detail);
                None
            }
        }
    }

    /// As [`Fields::optional`], and wrong where it is absent.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if self
            .unread
            .get(name)
            .is_none_or(|member| member.value.is_null())
        {
            self.unread.remove(name);
            self.wrong(&format!("/{name}"), "is required");
            return None;
        }
        self.optional(name, read)
    }

    /// Whether a field is there and has not been read.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.unread
            .get(name)
            .is_some_and(|member| !member.value.is_null())
    }

    /// The caller's own strings.
    pub(crate) fn metadata(&mut self) -> Metadata {
        let mut wrong = Vec::new();
        let metadata = self
            .optional("metadata", |value| metadata(value, &mut wrong))
            .unwrap_or_default();
        self.errors.append(&mut wrong);
        metadata
    }

    /// Notes that something is wrong.
    pub(crate) fn wrong(&mut self, pointer: &str, detail: impl Into<String>) {
        self.errors.push(FieldError {
            pointer: pointer.to_owned(),
            detail: detail.into(),
        });
    }

    /// Notes several things that are wrong.
    pub(crate) fn all_wrong(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        self.errors.extend(errors);
    }

    /// Everything that was wrong, now that all fields that there are have been read.
    pub(crate) fn into_errors(mut self, known: &str) -> Vec<FieldError> {
        for name in self.unread.keys().take(MOST_FIELD_ERRORS) {
            let mut pointer = String::new();
            push_segment(&mut pointer, name);
            self.errors.push(FieldError {
                pointer,
                detail: format!("no such field; there are {known}"),
            });
        }
        self.errors
    }
}

/// A string that parses.
pub(crate) fn parsed<T>(value: &Value) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = value.as_str().ok_or("must be a string")?;
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A point in time.
pub(crate) fn time(value: &Value) -> Result<Timestamp, String> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "must be an RFC 3339 time such as \"2026-01-31T12:00:00Z\"".to_owned())
}

/// A whole number within bounds; `4.0` is one.
pub(crate) fn integer(value: &Value, least: u64, most: u64) -> Result<u64, String> {
    whole(value)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be an integer from {least} to {most}"))
}

/// A number of seconds, at least `least`.
pub(crate) fn seconds(value: &Value, least: u64) -> Result<Duration, String> {
    whole(value)
        .filter(|number| (least..=LONGEST_S).contains(number))
        .map(Duration::from_secs)
        .ok_or_else(|| format!("must be whole seconds from {least} to {LONGEST_S}"))
}

fn whole(value: &Value) -> Option<u64> {
    /// Up to here every integer is exact as a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 0 and 2^53"
        )]
        ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
    })
}

fn metadata(value: &Value, wrong: &mut Vec<FieldError>) -> Result<Metadata, String> {
    let members = value.as_object().ok_or("must be an object of strings")?;
    if members.len() > MOST_METADATA {
        return Err(format!("must have at most {MOST_METADATA} members"));
    }
    let mut metadata = Metadata::new();
    for (key, value) in members {
        let value = value.as_str();
        match metadata_fault(key, value) {
            None => {
                metadata.insert(key.clone(), value.unwrap_or_default().to_owned());
            }
            Some(detail) => {
                let mut pointer = "/metadata".to_owned();
                push_segment(&mut pointer, key);
                wrong.push(FieldError { pointer, detail });
            }
        }
    }
    Ok(metadata)
}

fn metadata_fault(key: &str, value: Option<&str>) -> Option<String> {
    let Some(value) = value else {
        return Some("must be a string".to_owned());
    };
    if !(1..=LONGEST_METADATA_KEY).contains(&key.chars().count()) {
        Some(format!(
            "its name must have 1 to {LONGEST_METADATA_KEY} characters"
        ))
    } else if value.chars().count() > LONGEST_METADATA_VALUE {
        Some(format!(
            "must have at most {LONGEST_METADATA_VALUE} characters"
        ))
    } else if key.contains('\0') || value.contains('\0') {
        Some("must not contain the character U+0000".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        for (value, expected) in [
            (json!(4), Some(4)),
            (json!(4.0), Some(4)),
            (json!(1e3), Some(1_000)),
            (json!(-0.0), Some(0)),
            (json!(4.5), None),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("4"), None),
            (json!(true), None),
        ] {
            assert_eq!(integer(&value, 0, 1_000).ok(), expected, "{value}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let body = br#"{"a":1,"metadata":{"x":1,"":"y","z":"\u0000"},"b/c":2,"d":"ok"}"#;
        let mut fields = Fields::of(body).unwrap();
        assert_eq!(fields.required("a", parsed::<String>), None);
        assert_eq!(
            fields.required("d", parsed::<String>).as_deref(),
            Some("ok")
        );
        assert_eq!(fields.required("e", parsed::<String>), None);
        assert!(fields.metadata().is_empty());
        let mut pointers: Vec<String> = fields
            .into_errors("a, d, e, metadata")
            .into_iter()
            .map(|error| error.pointer)
            .collect();
        pointers.sort();
        assert_eq!(
            pointers,
            [
                "/a",
                "/b~1c",
                "/e",
                "/metadata/",
                "/metadata/x",
                "/metadata/z"
            ]
        );
    }
}
