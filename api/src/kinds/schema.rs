//! Checking payloads against the JSON Schema of their kind.

use coatcheck_shared::kind::KindDefinition;
use jsonschema::{Draft, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use crate::{
    problem::{FieldError, MOST_FIELD_ERRORS},
    strict_json::push_segment,
};

/// The longest explanation of one error: it may repeat the schema.
const LONGEST_DETAIL: usize = 300;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct PayloadSchema(Option<Validator>);

impl PayloadSchema {
    /// The schema of a kind. Where it is none, payloads go through unchecked: the handler reads
    /// them once more, and a worker's mistake must not shut its kind off.
    pub(crate) fn compile(definition: &KindDefinition) -> Self {
        let compiled = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&definition.payload_schema);
        match compiled {
            Ok(validator) => Self(Some(validator)),
            Err(error) => {
                tracing::warn!(
                    kind = %definition.name,
                    %error,
                    "the kind's payload schema cannot be used; its payloads are not checked"
                );
                Self(None)
            }
        }
    }

    /// Everything about a payload that does not fit, as far as one answer names it.
    pub(crate) fn errors(&self, payload: &Value) -> Vec<FieldError> {
        let Some(validator) = &self.0 else {
            return Vec::new();
        };
        if validator.is_valid(payload) {
            return Vec::new();
        }
        validator
            .iter_errors(payload)
            .flat_map(|error| field_errors(&error))
            .take(MOST_FIELD_ERRORS)
            .collect()
    }
}

/// An error of the schema, told of the member that it is about rather than of its object.
fn field_errors(error: &ValidationError<'_>) -> Vec<FieldError> {
    let pointer = format!("/payload{}", error.instance_path().as_str());
    let member = |name: &str, detail: &str| {
        let mut pointer = pointer.clone();
        push_segment(&mut pointer, name);
        FieldError {
            pointer,
            detail: detail.to_owned(),
        }
    };
    match error.kind() {
        ValidationErrorKind::Required {
            property: Value::String(name),
        } => vec![member(name, "is required")],
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .take(MOST_FIELD_ERRORS)
            .map(|name| member(name, "no such field"))
            .collect(),
        _ => {
            // The value itself may be a secret, and what is answered is often logged on the way.
            let mut detail = error.masked_with("the value").to_string();
            if detail.len() > LONGEST_DETAIL {
                detail.truncate(detail.floor_char_boundary(LONGEST_DETAIL));
                detail.push('…');
            }
            vec![FieldError { pointer, detail }]
        }
    }
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::kind::{KindDefinition, http::HttpPayload, sleep::SleepPayload};
    use serde_json::json;

    use super::*;

    fn pointers(schema: &PayloadSchema, payload: &Value) -> Vec<String> {
        let errors = schema.errors(payload);
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn errors_point_at_the_member_that_is_wrong() {
        let sleep = PayloadSchema::compile(&KindDefinition::of::<SleepPayload>().unwrap());
        let http = PayloadSchema::compile(&KindDefinition::of::<HttpPayload>().unwrap());
        assert!(pointers(&sleep, &json!({"ms": 5})).is_empty());
        assert!(pointers(&sleep, &json!({"ms": 5.0})).is_empty());
        assert_eq!(pointers(&sleep, &json!({})), ["/payload/ms"]);
        assert_eq!(pointers(&sleep, &json!({"ms": -1})), ["/payload/ms"]);
        assert_eq!(pointers(&sleep, &json!(7)), ["/payload"]);
        let many = json!({"method": "a b", "timeout_s": 0, "x/y": 1});
        let mut wrong = pointers(&http, &many);
        wrong.sort();
        assert_eq!(
            wrong,
            [
                "/payload/method",
                "/payload/timeout_s",
                "/payload/url",
                "/payload/x~1y"
            ]
        );
    }

    #[test]
    fn a_schema_that_is_none_checks_nothing_and_a_remote_one_is_not_fetched() {
        for schema in [json!({"type": 7}), json!({"$ref": "http://127.0.0.1:1/x"})] {
            let mut definition = KindDefinition::of::<SleepPayload>().unwrap();
            definition.payload_schema = schema;
            assert!(
                PayloadSchema::compile(&definition)
                    .errors(&json!(1))
                    .is_empty()
            );
        }
    }
}
