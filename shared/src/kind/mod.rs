//! Kinds of work, as far as whoever submits must know them: their names and the shape of their
//! payloads. What runs them is the worker's alone.

pub mod command;
pub mod http;
pub mod sleep;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::job::KindName;

/// The payload of a kind: what a submission must carry.
pub trait KindPayload: JsonSchema {
    /// The kind's name.
    const KIND: &'static str;
    /// What the kind does, in a sentence for its users.
    const DESCRIPTION: &'static str;
}

/// A kind as it is announced to every process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindDefinition {
    /// Its name.
    pub name: KindName,
    /// What it does.
    pub description: String,
    /// The JSON Schema (2020-12) of its payload.
    pub payload_schema: serde_json::Value,
    /// The media types of the bytes that it takes, such as `image/*`; none: it takes JSON alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_types: Option<Vec<String>>,
}

impl KindDefinition {
    /// The definition of a kind with a typed payload.
    ///
    /// # Errors
    /// Where the name that the type gives is no name of a kind.
    pub fn of<P: KindPayload>() -> Result<Self, crate::job::InvalidName> {
        Ok(Self {
            name: P::KIND.parse()?,
            description: P::DESCRIPTION.to_owned(),
            payload_schema: payload_schema::<P>(),
            media_types: None,
        })
    }

    /// The definition of a kind that takes bytes of these media types. Where it is submitted with
    /// JSON, that is the bytes.
    ///
    /// # Errors
    /// Where the name is no name of a kind.
    pub fn of_bytes(
        name: &str,
        description: &str,
        media_types: &[&str],
    ) -> Result<Self, crate::job::InvalidName> {
        Ok(Self {
            name: name.parse()?,
            description: description.to_owned(),
            payload_schema: serde_json::Value::Bool(true),
            media_types: Some(media_types.iter().map(|&each| each.to_owned()).collect()),
        })
    }
}

/// The JSON Schema of a payload type, as one document without references to others.
pub fn payload_schema<P: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<P>()
        .to_value()
}

/// Reads an unsigned integer as JSON Schema means it: any number without a fraction, `4.0` too.
///
/// For `#[serde(deserialize_with = …)]` on a field of a payload; [`optional_integer`] where the
/// field may be left out.
///
/// # Errors
/// For anything else, and for what a [`u64`] cannot hold.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Integer::deserialize(deserializer).map(|integer| integer.0)
}

/// As [`integer`], or null.
///
/// # Errors
/// As [`integer`].
pub fn optional_integer<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    Option::<Integer>::deserialize(deserializer).map(|integer| integer.map(|integer| integer.0))
}

struct Integer(u64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, not negative, and smaller than the largest"
        )]
        let exact = |number: f64| {
            /// 2^64, the first that does not fit.
            const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
            let fits = number.fract() == 0.0 && (0.0..TOO_LARGE).contains(&number);
            fits.then_some(number as u64)
        };
        let number = serde_json::Number::deserialize(deserializer)?;
        number
            .as_u64()
            .or_else(|| number.as_f64().and_then(exact))
            .map(Self)
            .ok_or_else(|| de::Error::custom(format!("{number} is not a whole number from 0 on")))
    }
}

#[cfg(test)]
mod tests {
    use super::{http::HttpPayload, sleep::SleepPayload};

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        for (text, ms) in [("4", 4), ("4.0", 4), ("4e3", 4_000), ("0.0", 0)] {
            let sleep: SleepPayload = serde_json::from_str(&format!(r#"{{"ms":{text}}}"#)).unwrap();
            assert_eq!(sleep.ms, ms, "{text}");
            let http = format!(r#"{{"url":"http://x","timeout_s":{text}}}"#);
            let http: HttpPayload = serde_json::from_str(&http).unwrap();
            assert_eq!(http.timeout_s, Some(ms), "{text}");
        }
        for text in ["4.5", "-1", "-1.0", "1e300", "\"4\"", "null"] {
            let sleep = serde_json::from_str::<SleepPayload>(&format!(r#"{{"ms":{text}}}"#));
            assert!(sleep.is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_that_may_be_left_out_still_may() {
        for text in [
            r#"{"url":"http://x"}"#,
            r#"{"url":"http://x","timeout_s":null}"#,
        ] {
            let http: HttpPayload = serde_json::from_str(text).unwrap();
            assert_eq!(http.timeout_s, None);
        }
        let schema = super::payload_schema::<HttpPayload>();
        assert_eq!(schema["required"], serde_json::json!(["url"]));
        assert_eq!(schema["properties"]["timeout_s"]["type"][0], "integer");
        let schema = super::payload_schema::<SleepPayload>();
        assert_eq!(schema["properties"]["ms"]["type"], "integer");
    }
}
