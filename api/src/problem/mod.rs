//! Problems: the only way from anything that goes wrong to HTTP (RFC 9457).

pub(crate) mod page;
mod table;

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use coatcheck_shared::store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use self::table::ProblemType;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// How many wrong fields one answer names at most.
pub(crate) const MOST_FIELD_ERRORS: usize = 50;

/// How soon a client should try again when the database is away, in seconds.
const UNAVAILABLE_RETRY_S: u64 = 2;

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FieldError {
    /// Where, as a JSON pointer (RFC 6901). A parameter of the query counts as a member.
    pub(crate) pointer: String,
    /// What is wrong, and what would be right.
    pub(crate) detail: String,
}

/// Something that went wrong, ready to be answered.
///
/// The middleware writes the body, because only it knows the request's id.
#[derive(Debug)]
pub(crate) struct Problem(Box<Content>);

#[derive(Debug)]
struct Content {
    problem_type: ProblemType,
    detail: String,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<String>,
    closes: bool,
}

impl Problem {
    /// A problem of a type, with what happened this time.
    pub(crate) fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            problem_type,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: Vec::new(),
            cause: None,
            closes: false,
        }))
    }

    /// That there is no such job. The same for every reason, so that nothing leaks.
    pub(crate) fn no_job() -> Self {
        Self::new(
            ProblemType::JobNotFound,
            "There is no job with this id, or it is kept no longer.",
        )
    }

    /// That fields of the request are wrong, all of them named.
    pub(crate) fn fields(
        problem_type: ProblemType,
        detail: &str,
        mut errors: Vec<FieldError>,
    ) -> Self {
        errors.truncate(MOST_FIELD_ERRORS);
        let mut problem = Self::new(problem_type, detail);
        problem.0.errors = errors;
        problem
    }

    /// That it is about a part of the request's body: the pointers lead there through `pointer`.
    #[must_use]
    pub(crate) fn below(mut self, pointer: &str) -> Self {
        for error in &mut self.0.errors {
            error.pointer.insert_str(0, pointer);
        }
        if self.0.errors.is_empty() {
            self.0.errors.push(FieldError {
                pointer: pointer.to_owned(),
                detail: self.0.detail.clone(),
            });
        }
        self
    }

    /// With what another problem of the same type says of its fields; as it is for one of another.
    #[must_use]
    pub(crate) fn joined_by(mut self, other: Self) -> Self {
        if self.0.problem_type == other.0.problem_type {
            self.0.errors.extend(other.0.errors);
            self.0.errors.truncate(MOST_FIELD_ERRORS);
        }
        self
    }

    /// With a member beside the standard ones.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    /// With a header field.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// With the pause after which the client should try again.
    #[must_use]
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, seconds)
    }

    /// The connection cannot be used any further.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// With what the log is told, and the client is not.
    fn because(mut self, cause: &impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// What the log is told.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Whether the connection is to be closed.
    pub(crate) fn closes(&self) -> bool {
        self.0.closes
    }

    /// The body, under the id of the request.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        self.value(request_id).to_string().into_bytes()
    }

    /// The problem as JSON, under the id of the request.
    pub(crate) fn value(&self, request_id: &str) -> Value {
        let row = self.0.problem_type.row();
        let mut body = Map::new();
        body.insert("type".into(), self.0.problem_type.path().into());
        body.insert("title".into(), row.title.into());
        body.insert("status".into(), row.status.into());
        body.insert("detail".into(), self.0.detail.clone().into());
        body.insert("instance".into(), request_id.into());
        if !self.0.errors.is_empty() {
            body.insert("errors".into(), json!(self.0.errors));
        }
        body.extend(self.0.members.clone());
        Value::Object(body)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.problem_type.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        for (name, value) in &self.0.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            Self::new(
                ProblemType::DatabaseUnavailable,
                "The database did not answer in time. What was asked may have been done all the \
                 same: retry with the same Idempotency-Key.",
            )
            .retry_after(UNAVAILABLE_RETRY_S)
            .because(&error)
        } else {
            Self::internal(&error)
        }
    }
}

impl Problem {
    /// That the fault is ours; the client learns no more.
    pub(crate) fn internal(cause: &impl fmt::Display) -> Self {
        Self::new(
            ProblemType::Internal,
            "The fault is not yours. The operator finds what happened in the log, under the id \
             that `instance` holds.",
        )
        .because(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        for (error, status) in [
            (StoreError::timed_out(), 503),
            (StoreError::corrupt("job", "secret-detail"), 500),
            (StoreError::Schema("secret-detail".into()), 500),
        ] {
            let problem = Problem::from(error);
            assert_eq!(problem.status_code().as_u16(), status);
            assert!(problem.cause().is_some());
            let body = String::from_utf8(problem.body("some-request")).unwrap();
            assert!(!body.contains("secret-detail"), "{body}");
            assert!(body.contains("some-request"), "{body}");
        }
    }

    #[test]
    fn every_type_has_a_path_of_its_own() {
        for each in ProblemType::ALL {
            assert_eq!(ProblemType::named(each.row().name), Some(*each));
            assert_eq!(each.status().as_u16(), each.row().status);
        }
    }

    #[test]
    fn one_answer_names_a_bounded_number_of_fields() {
        let error = FieldError {
            pointer: "/x".to_owned(),
            detail: String::new(),
        };
        let problem = Problem::fields(ProblemType::InvalidRequest, "", vec![error; 1_000]);
        let body: Value = serde_json::from_slice(&problem.body("id")).unwrap();
        assert_eq!(body["errors"].as_array().unwrap().len(), MOST_FIELD_ERRORS);
    }
}
