//! What became of a batch, as clients see it.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, http::StatusCode};
use coatcheck_shared::job::Job;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

use super::super::view::JobView;
use crate::{
    idempotency::{IDEMPOTENT_REPLAYED, REPLAYED},
    openapi,
    problem::Problem,
    reply::{self, Answer},
    request_id::RequestId,
};

/// What became of one submission: its job, or what is wrong with it.
pub(super) type Outcome = Result<Job, Problem>;

/// What became of each submission of a batch, in its order.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) each: Vec<Outcome>,
    /// Whether they are those of an earlier, equal request.
    pub(super) replayed: bool,
}

/// What became of a batch.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchOutcomes")]
pub(super) struct OutcomesView<'a> {
    outcomes: Vec<OutcomeView<'a>>,
}

/// What became of one submission.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BatchOutcome")]
struct OutcomeView<'a> {
    /// The status that it would have had by itself.
    status: u16,
    /// Its job, where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobView<'a>>,
    /// What is wrong with it, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "problem_schema")]
    error: Option<Value>,
}

fn problem_schema(_: &mut SchemaGenerator) -> Schema {
    openapi::problem_reference()
}

impl Outcomes {
    /// 202 where all were accepted, else 200.
    pub(super) fn answer(&self, request: &HttpRequest) -> Answer {
        let request_id = request.extensions().get::<RequestId>().cloned();
        let request_id = request_id.map(|id| id.0).unwrap_or_default();
        let status = if self.each.iter().all(Result::is_ok) {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        let outcomes = self.each.iter().map(|outcome| view(outcome, &request_id));
        let body = OutcomesView {
            outcomes: outcomes.collect(),
        };
        let mut response: HttpResponse = reply::json(status, &body)?;
        if self.replayed {
            let headers = response.headers_mut();
            headers.insert(IDEMPOTENT_REPLAYED.clone(), REPLAYED);
        }
        Ok(response)
    }
}

fn view<'a>(outcome: &'a Outcome, request_id: &str) -> OutcomeView<'a> {
    match outcome {
        Ok(job) => OutcomeView {
            status: StatusCode::ACCEPTED.as_u16(),
            job: Some(JobView::of(job)),
            error: None,
        },
        Err(problem) => {
            if let Some(cause) = problem.cause() {
                if problem.status_code() == StatusCode::SERVICE_UNAVAILABLE {
                    tracing::warn!(request_id, cause, "a submission of a batch was turned away");
                } else {
                    tracing::error!(request_id, cause, "a submission of a batch failed");
                }
            }
            OutcomeView {
                status: problem.status_code().as_u16(),
                job: None,
                error: Some(problem.value(request_id)),
            }
        }
    }
}
