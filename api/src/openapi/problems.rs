//! The problems of an operation as its answers: one for each status, written once for all
//! operations that have the same problems under it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use utoipa::openapi::{
    Ref, RefOr, Response, ResponseBuilder, content::ContentBuilder, example::ExampleBuilder,
};

use super::{
    field::{self, Field},
    schema::{self, raw},
};
use crate::problem::{FieldError, MEDIA_TYPE, Problem, ProblemType};

/// What any endpoint may answer.
pub(super) const EVERYWHERE: [ProblemType; 6] = [
    ProblemType::MalformedRequest,
    ProblemType::UriTooLong,
    ProblemType::HeadersTooLarge,
    ProblemType::Internal,
    ProblemType::CodingNotImplemented,
    ProblemType::VersionNotSupported,
];

/// What any endpoint may answer that needs a credential.
pub(super) const CLOSED: [ProblemType; 4] = [
    ProblemType::Unauthorized,
    ProblemType::InsufficientScope,
    ProblemType::RateLimited,
    ProblemType::DatabaseUnavailable,
];

/// What is answered to what is no operation: by any path, and by those that are none.
pub(super) const ELSEWHERE: [ProblemType; 3] = [
    ProblemType::RouteNotFound,
    ProblemType::MethodNotAllowed,
    ProblemType::MethodNotImplemented,
];

/// The name of the schema of every problem.
pub(super) const SCHEMA: &str = "Problem";

/// The answers that operations refer to.
#[derive(Default)]
pub(super) struct ProblemAnswers(BTreeMap<String, RefOr<Response>>);

impl ProblemAnswers {
    /// References to the answers that these problems make, by status.
    pub(super) fn refer(
        &mut self,
        problems: impl IntoIterator<Item = ProblemType>,
    ) -> BTreeMap<u16, Ref> {
        let mut by_status: BTreeMap<u16, BTreeMap<&str, ProblemType>> = BTreeMap::new();
        for problem in problems {
            let row = problem.row();
            by_status
                .entry(row.status)
                .or_default()
                .insert(row.name, problem);
        }
        by_status
            .into_iter()
            .map(|(status, problems)| {
                let names: Vec<&str> = problems.keys().copied().collect();
                let name = format!("{status}.{}", names.join("."));
                let reference = Ref::from_response_name(&name);
                let problems: Vec<ProblemType> = problems.into_values().collect();
                self.0
                    .entry(name)
                    .or_insert_with(|| answer(status, &problems).into());
                (status, reference)
            })
            .collect()
    }

    pub(super) fn into_components(self) -> BTreeMap<String, RefOr<Response>> {
        self.0
    }
}

fn answer(status: u16, problems: &[ProblemType]) -> Response {
    let says: Vec<String> = problems
        .iter()
        .map(|problem| {
            let row = problem.row();
            format!("`{}`: {}", row.name, row.explanation)
        })
        .collect();
    let mut response = ResponseBuilder::new().description(says.join("\n\n"));
    for field in field::EVERYWHERE {
        response = response.header(field.name, field.describe(true));
    }
    for (field, always) in fields_of(problems) {
        response = response.header(field.name, field.describe(always));
    }
    let types: Vec<String> = problems.iter().map(|problem| problem.path()).collect();
    let schema = json!({
        "allOf": [{"$ref": format!("#/components/schemas/{SCHEMA}")}],
        "properties": {"status": {"const": status}, "type": {"enum": types}},
    });
    let examples = problems.iter().map(|problem| {
        let example = ExampleBuilder::new().value(Some(example(*problem)));
        (problem.row().name, example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(raw(schema)))
        .examples_from_iter(examples);
    response.content(MEDIA_TYPE, content.build()).build()
}

/// The header fields of some problems, and whether every one of them has it.
fn fields_of(problems: &[ProblemType]) -> Vec<(Field, bool)> {
    let of_each: Vec<Vec<Field>> = problems.iter().map(|each| fields(*each)).collect();
    let mut seen = BTreeSet::new();
    of_each
        .iter()
        .flatten()
        .filter(|field| seen.insert(field.name))
        .map(|field| {
            let has = |fields: &Vec<Field>| fields.iter().any(|each| each.name == field.name);
            (*field, of_each.iter().all(has))
        })
        .collect()
}

/// The header fields that a problem always has beside those of every answer.
fn fields(problem: ProblemType) -> Vec<Field> {
    match problem {
        ProblemType::Unauthorized | ProblemType::InsufficientScope => vec![field::WWW_AUTHENTICATE],
        ProblemType::MethodNotAllowed => vec![field::ALLOW],
        ProblemType::UnsupportedMediaType => vec![field::ACCEPT],
        ProblemType::UnsupportedCoding => vec![field::ACCEPT_ENCODING],
        ProblemType::RangeNotSatisfiable => vec![field::CONTENT_RANGE],
        ProblemType::JobGone => vec![field::IDEMPOTENT_REPLAYED],
        ProblemType::RateLimited | ProblemType::QuotaExceeded => {
            let [state, policy] = field::RATE;
            vec![field::RETRY_AFTER, state, policy]
        }
        ProblemType::ResultNotReady
        | ProblemType::DatabaseUnavailable
        | ProblemType::QueueFull
        | ProblemType::ShuttingDown
        | ProblemType::Overloaded => vec![field::RETRY_AFTER],
        _ => Vec::new(),
    }
}

/// A problem as it may look.
fn example(problem: ProblemType) -> Value {
    let row = problem.row();
    let detail = format!("{}.", row.title);
    let wrong = |pointer: &str, detail: &str| {
        vec![FieldError {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        }]
    };
    let example = match problem {
        ProblemType::InvalidRequest => Problem::fields(
            problem,
            "Fields of the submission are wrong: see `errors`.",
            wrong("/payload/ms", "is required"),
        ),
        ProblemType::InvalidParameter => Problem::fields(
            problem,
            "Parameters of the query are wrong: see `errors`.",
            wrong("/limit", "must be an integer from 1 to 1000"),
        ),
        ProblemType::MalformedJson => Problem::fields(
            problem,
            "The body is not JSON that this server takes: see `errors`.",
            wrong("/metadata", "the object has this member twice"),
        ),
        ProblemType::UniqueJobExists => {
            Problem::new(problem, detail).with("existing_job", super::example::JOB_PATH)
        }
        ProblemType::JobGone => Problem::new(problem, detail).with("job", super::example::JOB_PATH),
        ProblemType::BodyTooLarge => Problem::new(problem, detail).with("limit_bytes", 1_048_576),
        ProblemType::ResultNotReady | ProblemType::JobActive => {
            Problem::new(problem, detail).with("state", "running")
        }
        ProblemType::JobFinished | ProblemType::JobNotRetryable => {
            Problem::new(problem, detail).with("state", "succeeded")
        }
        ProblemType::NoResult => Problem::new(problem, detail).with("state", "failed"),
        _ => Problem::new(problem, detail),
    };
    example.value(super::example::REQUEST_ID)
}

/// The schema that every problem fits (RFC 9457).
pub(super) fn schema() -> Value {
    let state = schema::of::<coatcheck_shared::job::State>();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "What it is: a path on this server, at which it is explained.",
            },
            "title": {"type": "string", "description": "The type in a few words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What happened this time."},
            "instance": {"type": "string", "description": "The request's id."},
            "errors": {
                "type": "array",
                "description": "Everything that is wrong with the fields of the request.",
                "minItems": 1,
                "items": schema::of::<FieldError>(),
            },
            "state": state,
            "existing_job": {
                "type": "string",
                "format": "uri-reference",
                "description": "The job that holds the unique key.",
            },
            "job": {
                "type": "string",
                "format": "uri-reference",
                "description": "The job that the request became.",
            },
            "kinds": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The kinds that there are.",
            },
            "limit_bytes": {
                "type": "integer",
                "minimum": 0,
                "description": "The most that is taken.",
            },
        },
    })
}
