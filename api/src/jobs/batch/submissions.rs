//! Taking a batch apart into submissions, none of which is looked into.

use bytes::Bytes;
use schemars::JsonSchema;
use serde_json::value::RawValue;

use super::super::submission::SubmissionBody;
use crate::{
    body::Form,
    problem::{FieldError, Problem, ProblemType},
    strict_json::{self, push_segment},
};

/// How many submissions one batch holds at most.
const LARGEST: usize = 1_000;

/// The fields of a batch, for who has used another.
const KNOWN: &str = "jobs, atomic";

/// A batch as it is documented; [`Batch::read`] is what reads it.
#[derive(JsonSchema)]
#[schemars(rename = "Batch", deny_unknown_fields)]
#[expect(dead_code, reason = "for its schema alone")]
pub(super) struct BatchBody {
    /// The submissions.
    #[schemars(length(min = 1, max = LARGEST))]
    jobs: Vec<SubmissionBody>,
    /// Whether all of them are stored or none is.
    #[schemars(default)]
    atomic: bool,
}

/// A batch of lines as it is documented, a submission a line.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "for its schema alone")]
pub(super) struct BatchLines(#[schemars(length(min = 1, max = LARGEST))] Vec<SubmissionBody>);

/// A batch, taken apart.
#[derive(Debug)]
pub(super) struct Batch {
    /// The bytes of each submission.
    pub(super) submissions: Vec<Bytes>,
    /// Whether all of them are stored or none is.
    pub(super) atomic: bool,
}

impl Batch {
    /// Takes a body apart.
    pub(super) fn read(body: &Bytes, form: Form) -> Result<Self, Problem> {
        match form {
            Form::Json => Self::of_object(body),
            Form::Lines => Self::of_lines(body),
        }
    }

    fn of_object(body: &Bytes) -> Result<Self, Problem> {
        let members = strict_json::raw_members(body).map_err(|error| {
            Problem::fields(
                ProblemType::MalformedJson,
                "The body is not JSON that this server takes: see `errors`.",
                vec![error],
            )
        })?;
        let mut errors = Vec::new();
        let mut jobs: Option<Vec<&RawValue>> = None;
        let mut atomic = Some(false);
        for (name, value) in members {
            match name.as_str() {
                "jobs" => jobs = serde_json::from_str(value.get()).ok(),
                "atomic" => atomic = serde_json::from_str(value.get()).ok(),
                _ => errors.push(unknown(&name)),
            }
        }
        let count = jobs.as_ref().map_or(0, Vec::len);
        errors.extend(wrong_count(count));
        if atomic.is_none() {
            errors.push(FieldError {
                pointer: "/atomic".to_owned(),
                detail: "must be true or false".to_owned(),
            });
        }
        match (jobs, atomic) {
            (Some(jobs), Some(atomic)) if errors.is_empty() => Ok(Self {
                submissions: jobs
                    .iter()
                    .map(|job| body.slice_ref(job.get().as_bytes()))
                    .collect(),
                atomic,
            }),
            _ => Err(invalid(errors)),
        }
    }

    fn of_lines(body: &Bytes) -> Result<Self, Problem> {
        let submissions: Vec<Bytes> = body
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .take(LARGEST + 1)
            .map(|line| body.slice_ref(line))
            .collect();
        match wrong_count(submissions.len()) {
            None => Ok(Self {
                submissions,
                atomic: false,
            }),
            Some(error) => Err(invalid(vec![error])),
        }
    }
}

fn wrong_count(count: usize) -> Option<FieldError> {
    (!(1..=LARGEST).contains(&count)).then(|| FieldError {
        pointer: "/jobs".to_owned(),
        detail: format!("must be an array of 1 to {LARGEST} submissions"),
    })
}

fn unknown(name: &str) -> FieldError {
    let mut pointer = String::new();
    push_segment(&mut pointer, name);
    FieldError {
        pointer,
        detail: format!("no such field; there are {KNOWN}"),
    }
}

fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::fields(
        ProblemType::InvalidRequest,
        "Fields of the batch are wrong: see `errors`.",
        errors,
    )
}
