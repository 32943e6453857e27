//! A submission whose body is the payload itself, byte for byte: `POST /v1/jobs?kind=…`, the other
//! fields of the submission standing in the query as well.

mod parameters;

use std::sync::Arc;

use actix_web::{HttpRequest, http::header, web::Payload};
use serde_json::{Map, Value};

pub(super) use self::parameters::PARAMETERS;
use super::submission::{self, Submission};
use crate::{
    api::Api,
    body::{self, Body},
    caller::Caller,
    fields::Fields,
    kinds::Kind,
    problem::{FieldError, Problem, ProblemType},
    query::Query,
};

/// The parameters whose values are numbers.
const NUMBERS: [&str; 7] = [
    "max_attempts",
    "delay_s",
    "timeout_s",
    "start_within_s",
    "deadline_s",
    "retain_s",
    "unique.window_s",
];

/// The parameters of which each is a member of an object.
const OBJECTS: [&str; 2] = ["metadata", "unique"];

/// The media type of bytes of which nothing is said (RFC 9110 §8.3).
const BYTES: &str = "application/octet-stream";

/// The longest name of a media type that is kept.
const LONGEST_MEDIA_TYPE: usize = 255;

/// Whether the body of a request is the payload: its kind stands in the query then.
pub(super) fn is_raw(request: &HttpRequest) -> bool {
    let query = request.query_string();
    !query.is_empty()
        && url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "kind")
}

/// Refuses the parameters of a query in which no kind stands: the body is the whole submission then,
/// and what stands elsewhere would be lost without a word.
pub(super) fn refuse_parameters(request: &HttpRequest) -> Result<(), Problem> {
    Query::of(request).finish(
        "kind, with which the body is the payload itself, and beside it the other fields of a \
         submission",
    )
}

/// Takes the body in and checks it and the query.
pub(super) async fn read(
    api: &Api,
    caller: &Caller,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(Submission, Body), Problem> {
    let mut fields = parameters(request)?;
    let (kind, options, faults) = submission::read_options(api, &mut fields).await?;
    body::require_one_media_type(request.headers())?;
    let media_type = match &kind {
        Some(kind) => media_type_for(kind, request)?,
        None => String::new(),
    };
    let body = api.bodies.any(request, payload).await?;
    let errors = fields.into_errors(submission::PARAMETERS);
    match kind {
        Some(kind) if errors.is_empty() => {
            let payload = body.bytes.clone();
            if kind.definition.media_types.is_none() {
                check_json(&kind, &payload)?;
            }
            let submission = Submission::new(caller, &kind, (media_type, payload), options)?;
            Ok((submission, body))
        }
        _ => {
            let problem = Problem::fields(
                ProblemType::InvalidParameter,
                "Parameters of the query are wrong: see `errors`.",
                errors,
            );
            Err(faults.add_to(problem))
        }
    }
}

/// The query as the fields of a submission.
fn parameters(request: &HttpRequest) -> Result<Fields<'static>, Problem> {
    let mut members = Map::new();
    let mut twice = Vec::new();
    for (name, text) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        let value = if NUMBERS.contains(&&*name) {
            text.parse().map_or_else(|_| text.into(), Value::Number)
        } else {
            text.into()
        };
        let object = name
            .split_once('.')
            .filter(|(object, _)| OBJECTS.contains(object));
        let before = match object {
            None => members.insert(name.to_string(), value),
            Some((object, member)) => {
                let entry = members.entry(object).or_insert_with(|| Map::new().into());
                match entry {
                    Value::Object(object) => object.insert(member.to_owned(), value),
                    _ => Some(Value::Null),
                }
            }
        };
        if before.is_some() {
            twice.push(FieldError {
                pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
                detail: "is there more than once".to_owned(),
            });
        }
    }
    if twice.is_empty() {
        return Ok(Fields::of_values(members));
    }
    Err(Problem::fields(
        ProblemType::InvalidParameter,
        "Parameters of the query are wrong: see `errors`.",
        twice,
    ))
}

/// The media type of the body, where the kind takes it.
fn media_type_for(kind: &Arc<Kind>, request: &HttpRequest) -> Result<String, Problem> {
    let given = request.headers().get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let Some(taken) = &kind.definition.media_types else {
        let is_json = given.is_some_and(body::is_json);
        return if is_json {
            Ok(body::JSON.to_owned())
        } else {
            Err(body::unsupported_media_type(body::JSON))
        };
    };
    let media_type = given.unwrap_or(BYTES);
    if media_type.len() <= LONGEST_MEDIA_TYPE && taken.iter().any(|range| covers(range, media_type))
    {
        Ok(media_type.to_owned())
    } else {
        Err(body::unsupported_media_type(&taken.join(", ")))
    }
}

/// Whether a media type is in a range such as `image/*`.
fn covers(range: &str, media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let Some((main, sub)) = essence.split_once('/') else {
        return false;
    };
    let is_type = !main.is_empty() && !sub.is_empty();
    is_type
        && range
            .split_once('/')
            .is_some_and(|(range_main, range_sub)| {
                (range_main == "*" || range_main.eq_ignore_ascii_case(main))
                    && (range_sub == "*" || range_sub.eq_ignore_ascii_case(sub))
            })
}

/// A payload of a kind that takes JSON is held to the same rules as one in a submission.
fn check_json(kind: &Kind, payload: &[u8]) -> Result<(), Problem> {
    let value = crate::strict_json::payload(payload).map_err(submission::malformed)?;
    let mut errors = kind.schema.errors(&value);
    if errors.is_empty() {
        return Ok(());
    }
    for error in &mut errors {
        // The body is the payload.
        if let Some(inside) = error.pointer.strip_prefix("/payload") {
            error.pointer = inside.to_owned();
        }
    }
    Err(submission::invalid(errors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_covers_its_media_types() {
        for (range, media_type, expected) in [
            ("*/*", "image/png", true),
            ("image/*", "Image/PNG; q=1", true),
            ("image/png", "image/png", true),
            ("image/png", "image/jpeg", false),
            ("image/*", "text/plain", false),
            ("*/*", "image", false),
            ("*/*", "", false),
            ("*/*", "/", false),
        ] {
            assert_eq!(covers(range, media_type), expected, "{range} {media_type}");
        }
    }
}
