//! What became of a batch, as clients see it.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, http::StatusCode};
use coatcheck_shared::job::Job;
use serde::Serialize;
use serde_json::Value;

use super::super::view::JobView;
use crate::{
    idempotency::{IDEMPOTENT_REPLAYED, REPLAYED},
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

#[derive(Serialize)]
struct OutcomesView<'a> {
    outcomes: Vec<OutcomeView<'a>>,
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
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
                tracing::error!(request_id, cause, "a submission of a batch failed");
            }
            OutcomeView {
                status: problem.status_code().as_u16(),
                job: None,
                error: Some(problem.value(request_id)),
            }
        }
    }
}
