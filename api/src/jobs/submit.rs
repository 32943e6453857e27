//! `POST /v1/jobs`: takes a job in.

use actix_web::{
    HttpRequest, HttpResponseBuilder,
    http::{StatusCode, header},
    web::{Data, Payload},
};
use coatcheck_shared::job::{Inserted, Job, JobId, NewJob};

use super::{
    path_of, raw,
    submission::{Submission, SubmissionBody},
    unique, view, wait,
};
use crate::{
    admission,
    api::Api,
    caller::Caller,
    idempotency::{self, IDEMPOTENT_REPLAYED, IdempotencyKey, REPLAYED},
    openapi::{Operation, Tag, example, field, parameter},
    prefer::{PREFERENCE_APPLIED, Preferences},
    problem::{Problem, ProblemType},
    reply::Answer,
    trace_context,
};

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(Tag::Jobs, "submitJob", "Hand in a job")
        .says(
            "The job is stored before it is answered. Send an `Idempotency-Key` and repeat the \
             request as often as you have to: it is one job, and each repetition is answered with \
             the first one's code. With `kind` in the query the body is the payload itself, byte for \
             byte, in a media type that the kind takes (`media_types` of /v1/kinds), and the other \
             fields of the submission stand in the query too.",
        )
        .with(raw::PARAMETERS)
        .with([
            parameter::PREFER,
            idempotency::PARAMETER,
            trace_context::PARAMETER,
        ])
        .takes::<SubmissionBody>([
            ("sleep", example::submission()),
            ("everything", example::full_submission()),
        ])
        .answers(
            view::describe_found(
                "It finished while the client was willing to wait (`Prefer: wait=N`), or it is \
                 the repetition of a request of which that is true.",
                example::succeeded_job(),
            )
            .always([field::CONTENT_LOCATION])
            .sometimes([field::PREFERENCE_APPLIED, field::IDEMPOTENT_REPLAYED]),
        )
        .answers(
            view::describe_accepted("It is stored, and will be run.")
                .sometimes([field::PREFERENCE_APPLIED, field::IDEMPOTENT_REPLAYED]),
        )
        .problems(PROBLEMS)
        .problems([ProblemType::JobGone, ProblemType::InvalidParameter])
}

/// What can be wrong with a submission, beside its body.
pub(super) const PROBLEMS: [ProblemType; 6] = [
    ProblemType::InvalidIdempotencyKey,
    ProblemType::IdempotencyKeyReused,
    ProblemType::UniqueJobExists,
    ProblemType::KindNotImplemented,
    ProblemType::QueueFull,
    ProblemType::QuotaExceeded,
];

/// Stores a job and answers 202, or 200 where it finished while the client was willing to wait.
/// A repeated request is answered about the job of the first.
pub(crate) async fn post(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    payload: Payload,
) -> Answer {
    let (submission, body) = if raw::is_raw(&request) {
        raw::read(&api, &caller, &request, payload).await?
    } else {
        let body = api.bodies.json(&request, payload).await?;
        raw::refuse_parameters(&request)?;
        let submission = Submission::read(&api, &caller, &body.bytes).await?;
        (submission, body)
    };
    let key = IdempotencyKey::of(&request)?;
    let id = JobId::generate(&api.clock);
    let mut new = submission.into_job(
        id,
        caller.tenant.clone(),
        api.now(),
        &api.defaults,
        trace_context::of(&request, id),
    );
    new.idempotency = key.as_ref().map(|key| {
        let expires_at = new.created_at.after(api.defaults.idempotency_retain);
        key.remember(
            &request,
            &body.bytes,
            StatusCode::ACCEPTED.as_u16(),
            expires_at,
        )
    });
    let job = described(&new);
    admission::admit(&api, &request, std::slice::from_ref(&new)).await?;
    let inserted = api.intake.accept(new).await?;
    drop(body);
    let exchange = Exchange {
        preferences: Preferences::of(&request, api.longest_wait_s),
        caller,
        api: &api,
        request: &request,
    };
    match inserted {
        Inserted::Stored { .. } => exchange.stored(job, key).await,
        Inserted::Replayed { job, status } => exchange.replayed(job, status).await,
        Inserted::KeyReused => Err(idempotency::reused()),
        Inserted::UniqueExists { job } => Err(unique::exists(job)),
    }
}

/// The job as it will stand in the store, without holding on to its payload.
pub(super) fn described(new: &NewJob) -> Job {
    let mut copy = new.clone();
    copy.payload = bytes::Bytes::new();
    copy.into_job()
}

/// A submission that is in the store, to be answered.
struct Exchange<'a> {
    preferences: Preferences,
    caller: Caller,
    api: &'a Api,
    request: &'a HttpRequest,
}

impl Exchange<'_> {
    async fn stored(self, mut job: Job, key: Option<IdempotencyKey>) -> Answer {
        if self.preferences.wait().is_some() {
            // The job is stored: not even a fault on the way back may turn this into a failure.
            if let Ok(Some(current)) = self.current(job.id).await {
                job = current;
            }
            if job.lifecycle.state.is_terminal() {
                if let Some(key) = key {
                    self.remember_finished(&key).await;
                }
                return self.finished(&job, |_| {});
            }
        }
        self.accepted(&job, |_| {})
    }

    /// The job of an earlier, equal request as it is now, under the code of that one's answer.
    async fn replayed(self, id: JobId, status: u16) -> Answer {
        let Some(job) = self.current(id).await? else {
            return Err(gone(id));
        };
        let mark = |response: &mut HttpResponseBuilder| {
            response.insert_header((IDEMPOTENT_REPLAYED.clone(), REPLAYED));
        };
        if status == StatusCode::OK.as_u16() {
            self.finished(&job, mark)
        } else {
            self.accepted(&job, mark)
        }
    }

    /// The job, as soon as it is finished where the client would wait for that.
    async fn current(&self, id: JobId) -> Result<Option<Job>, Problem> {
        match self.preferences.wait() {
            Some(longest) => wait::until_finished(self.api, &self.caller, id, longest).await,
            None => Ok(self.api.store.get(&self.caller.tenant, id).await?),
        }
    }

    /// A later, equal request is then answered 200 too. Where that cannot be noted it is answered
    /// 202, which is no less true.
    async fn remember_finished(&self, key: &IdempotencyKey) {
        let (tenant, status) = (&self.caller.tenant, StatusCode::OK.as_u16());
        let noted = self
            .api
            .store
            .set_replayed_status(tenant, key.as_str(), status);
        if let Err(error) = noted.await {
            tracing::debug!(%error, "the status of an answer was not noted");
        }
    }

    fn accepted(&self, job: &Job, extend: impl FnOnce(&mut HttpResponseBuilder)) -> Answer {
        view::accepted(self.api, job, |response| {
            if let Some(applied) = self.preferences.applied_async() {
                response.insert_header((PREFERENCE_APPLIED.clone(), applied));
            }
            extend(response);
        })
    }

    fn finished(&self, job: &Job, extend: impl FnOnce(&mut HttpResponseBuilder)) -> Answer {
        view::found(self.request, self.api, job, |response| {
            response.insert_header((header::CONTENT_LOCATION, path_of(job.id)));
            if let Some(applied) = self.preferences.applied_wait() {
                response.insert_header((PREFERENCE_APPLIED.clone(), applied));
            }
            extend(response);
        })
    }
}

/// That the job of an earlier, equal request is kept no longer. Not 202: there is nothing to come
/// back for. And no second job: the work has been done.
pub(super) fn gone(id: JobId) -> Problem {
    Problem::new(
        ProblemType::JobGone,
        "This request came before, and its job is kept no longer.",
    )
    .with("job", path_of(id))
    .with_header(IDEMPOTENT_REPLAYED.clone(), REPLAYED)
}
