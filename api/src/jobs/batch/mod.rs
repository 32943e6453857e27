//! `POST /v1/jobs/batch`: takes many jobs in with one request.

mod outcomes;
mod storing;
mod submissions;

use actix_web::{
    HttpRequest,
    http::StatusCode,
    web::{Data, Payload},
};
use bytes::Bytes;
use coatcheck_shared::job::{JobId, NewJob};
use serde_json::json;

use self::{
    outcomes::OutcomesView,
    submissions::{Batch, BatchBody, BatchLines},
};
use super::{submission::Submission, submit};
use crate::{
    api::Api,
    caller::Caller,
    idempotency::{self, IdempotencyKey},
    openapi::{Content, Operation, Parameter, Reply, Tag, example, field},
    problem::{Problem, ProblemType},
    query::{self, Query},
    reply::Answer,
    trace_context,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let submissions = json!([example::submission(), example::full_submission()]);
    let outcome = json!({"outcomes": [{"status": 202, "job": example::queued_job()}]});
    let atomic = Parameter::query(
        "atomic",
        "All of them or none. For lines, which have no other place for it.",
        || json!({"type": "boolean", "default": false}),
    );
    Operation::new(Tag::ManyJobs, "submitBatch", "Hand in many jobs")
        .says(
            "Up to 1,000, in one object or a submission a line. Each has an outcome of its own, in \
             their order. With `atomic` all are stored or none, and what is wrong with one is the \
             answer: its pointers begin with `/jobs/` and its number. Only an atomic batch takes \
             an `Idempotency-Key`.",
        )
        .with([atomic, idempotency::PARAMETER, trace_context::PARAMETER])
        .takes::<BatchBody>([("batch", json!({"jobs": submissions, "atomic": false}))])
        .takes_content(Content::taken::<BatchLines>(
            "application/x-ndjson",
            [("lines", submissions)],
        ))
        .answers(
            Reply::json::<OutcomesView<'_>>(
                200,
                "Not all were accepted; each outcome says what became of it.",
                json!({"outcomes": [{"status": 409, "error": example::problem()}]}),
            )
            .sometimes([field::IDEMPOTENT_REPLAYED]),
        )
        .answers(
            Reply::json::<OutcomesView<'_>>(202, "All were accepted.", outcome)
                .sometimes([field::IDEMPOTENT_REPLAYED]),
        )
        .problems(submit::PROBLEMS)
}

/// Stores what can be stored of a batch, or all of it or nothing; one outcome each.
pub(crate) async fn post(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let (body, form) = api.bodies.json_or_lines(&request, payload).await?;
    let mut query = Query::of(&request);
    // Lines have no place for it.
    let atomic = query.one("atomic", query::boolean).unwrap_or(false);
    query.finish("atomic")?;
    let key = IdempotencyKey::of(&request)?;
    let batch = Batch::read(&body.bytes, form)?;
    let reading = Reading {
        api: &api,
        caller: &caller,
        request: &request,
    };
    let outcomes = if atomic || batch.atomic {
        let mut jobs = storing::all_or_problem(reading.jobs(&batch.submissions).await)?;
        if let Some(key) = key {
            reading.remember(&key, &body.bytes, &mut jobs);
        }
        storing::all_or_none(&api, &request, &caller.tenant, jobs).await?
    } else {
        refuse_key(key.as_ref())?;
        storing::each(&api, &request, reading.jobs(&batch.submissions).await).await?
    };
    drop(body);
    outcomes.answer(&request)
}

/// One key cannot stand for submissions of which each has a fate of its own.
fn refuse_key(key: Option<&IdempotencyKey>) -> Result<(), Problem> {
    match key {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            ProblemType::InvalidIdempotencyKey,
            "A batch has an Idempotency-Key only where it is atomic. Give each submission a \
             `unique.key` of its own instead.",
        )),
    }
}

/// From submissions to jobs.
struct Reading<'a> {
    api: &'a Api,
    caller: &'a Caller,
    request: &'a HttpRequest,
}

impl Reading<'_> {
    async fn jobs(&self, submissions: &[Bytes]) -> Vec<Result<NewJob, Problem>> {
        let mut jobs = Vec::with_capacity(submissions.len());
        for submission in submissions {
            jobs.push(self.job(submission).await);
        }
        jobs
    }

    async fn job(&self, submission: &Bytes) -> Result<NewJob, Problem> {
        let api = self.api;
        let submission = Submission::read(api, self.caller, submission).await?;
        let id = JobId::generate(&api.clock);
        Ok(submission.into_job(
            id,
            self.caller.tenant.clone(),
            api.now(),
            &api.defaults,
            trace_context::of(self.request, id),
        ))
    }

    /// Each job gets the batch's key with its number, behind a character that no client's key has.
    fn remember(&self, key: &IdempotencyKey, body: &Bytes, jobs: &mut [NewJob]) {
        let status = StatusCode::ACCEPTED.as_u16();
        let expires_at = self.api.now().after(self.api.defaults.idempotency_retain);
        let batch = key.remember(self.request, body, status, expires_at);
        for (index, job) in jobs.iter_mut().enumerate() {
            let mut own = batch.clone();
            own.key = format!("{}\u{1f}{index}", batch.key);
            job.idempotency = Some(own);
        }
    }
}
