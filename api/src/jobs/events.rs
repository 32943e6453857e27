//! `GET /v1/jobs/{id}/events`: what becomes of a job, as server-sent events.
//!
//! The events are not kept: they are the difference between the job as it stands and what the
//! client knows, which the `id` of its last event says in full. So a client goes on where it was
//! on another process and after a restart, and a job that nobody follows costs nothing. A state
//! that lasted for less than a look may be left out; the last one never is.

mod told;

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, http::Method, web::Data};
use coatcheck_shared::{
    job::{Failure, Job, JobId, Progress, State, Tenant},
    store::{LogLine, StoreError},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use self::told::{Told, mark_of};
use super::{
    following::{self, Follower, LINES_AT_ONCE, News, may_have_more},
    id_in_path,
    logs::LineView,
};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Parameter, Reply, Tag, parameter},
    problem::{Problem, ProblemType},
    reply::Answer,
};

const EVENT_STREAM: &str = "text/event-stream";

/// How soon a client whose connection broke should come back.
const RECONNECT: &str = "retry: 1000\n\n";

#[derive(Serialize)]
struct StateData<'a> {
    state: State,
    attempt: u32,
    max_attempts: u32,
    error: Option<&'a Failure>,
}

#[derive(Serialize)]
struct ProgressData<'a> {
    attempt: u32,
    #[serde(flatten)]
    progress: &'a Progress,
}

/// One event of the stream as it is documented; [`Events::tell`] is what writes it.
#[derive(JsonSchema)]
#[schemars(rename = "Event")]
#[expect(dead_code, reason = "for its schema alone")]
struct EventBody {
    /// What it tells of.
    #[schemars(extend("enum" = ["state", "progress", "log"]))]
    event: String,
    /// Where the client is with it, for `Last-Event-ID`.
    id: String,
    /// JSON; that of a `state` names the state.
    #[schemars(extend("contentMediaType" = "application/json"))]
    data: String,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let example = json!({
        "event": "state",
        "id": "1.running.0.0",
        "data": r#"{"state":"running","attempt":1,"max_attempts":3,"error":null}"#,
    });
    Operation::new(Tag::Jobs, "followJob", "What becomes of a job, as it comes")
        .says(
            "Server-sent events: `state`, `progress` and `log`, with JSON as their data. The \
             stream ends with the job, its last state being the last event. A state that lasted \
             less than a second may be left out; the last one never is.",
        )
        .with([
            parameter::JOB_ID,
            Parameter::head(
                "Last-Event-ID",
                "The `id` of the last event that has come: the stream goes on behind it. What is \
                 no such id is ignored.",
                || json!({"type": "string"}),
            ),
        ])
        .answers(Reply::empty(200, "The events.").or_as::<EventBody>(EVENT_STREAM, example))
        .answers(Reply::empty(
            204,
            "Nothing is left to tell: do not come back.",
        ))
        .problems([ProblemType::JobNotFound, ProblemType::Overloaded])
}

/// Sends the events of a job until it has ended.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let id = id_in_path(&request)?;
    let job = api.store.get(&caller.tenant, id).await?;
    let job = job.ok_or_else(Problem::no_job)?;
    let told = told::last_event(&request);
    if request.method() == Method::HEAD {
        return Ok(following::nothing(EVENT_STREAM));
    }
    if told.as_ref().is_some_and(|told| told.is_all_of(&job)) {
        // What a browser takes as the word not to come back.
        return Ok(HttpResponse::NoContent().finish());
    }
    let events = Events {
        tenant: caller.tenant.clone(),
        id,
        told: told.unwrap_or_default(),
        greeting: RECONNECT,
    };
    following::answer(api, caller, id, EVENT_STREAM, events)
}

struct Events {
    tenant: Tenant,
    id: JobId,
    told: Told,
    /// Sent before the first event.
    greeting: &'static str,
}

impl Follower for Events {
    const KEEP_ALIVE: &'static str = ": the job goes on\n\n";

    async fn look(&mut self, api: &Api) -> Result<News, StoreError> {
        let Some(job) = api.store.get(&self.tenant, self.id).await? else {
            return Ok(News::none_ever());
        };
        // Read after the state, so that nothing said before the end comes after it.
        let lines = if job.started_at.is_some() {
            let lines = api
                .store
                .logs(&self.tenant, self.id, self.told.lines, LINES_AT_ONCE);
            lines.await?.unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut text = std::mem::take(&mut self.greeting).to_owned();
        let is_last = job.lifecycle.state.is_terminal() && !may_have_more(&lines);
        let is_new = self.told.state.is_none();
        if !job.lifecycle.state.is_terminal() {
            self.tell_state(&mut text, &job)?;
        }
        for line in &lines {
            self.tell_line(&mut text, line)?;
        }
        // How far an ended job once was is nothing to begin with.
        if !(is_last && is_new) {
            self.tell_progress(&mut text, &job)?;
        }
        if is_last {
            self.tell_state(&mut text, &job)?;
        }
        Ok(News { text, is_last })
    }
}

impl Events {
    fn tell_state(&mut self, text: &mut String, job: &Job) -> Result<(), StoreError> {
        let (state, attempt) = (job.lifecycle.state, job.lifecycle.attempt);
        if self.told.state == Some((attempt, state)) {
            return Ok(());
        }
        self.told.state = Some((attempt, state));
        let data = StateData {
            state,
            attempt,
            max_attempts: job.lifecycle.max_attempts,
            error: job.failure.as_ref(),
        };
        self.tell(text, "state", &data)
    }

    fn tell_line(&mut self, text: &mut String, line: &LogLine) -> Result<(), StoreError> {
        self.told.lines += 1;
        self.tell(text, "log", &LineView::of(line))
    }

    fn tell_progress(&mut self, text: &mut String, job: &Job) -> Result<(), StoreError> {
        let mark = mark_of(job.progress.as_ref());
        if self.told.progress == mark {
            return Ok(());
        }
        self.told.progress = mark;
        let Some(progress) = &job.progress else {
            return Ok(());
        };
        let attempt = job.lifecycle.attempt;
        self.tell(text, "progress", &ProgressData { attempt, progress })
    }

    /// JSON has no line of its own breaking it, so one `data` field holds it.
    fn tell(
        &self,
        text: &mut String,
        event: &str,
        data: &impl Serialize,
    ) -> Result<(), StoreError> {
        let data =
            serde_json::to_string(data).map_err(|error| StoreError::corrupt("job", error))?;
        let id = &self.told;
        // Writing to a string cannot fail.
        let _ = write!(text, "event: {event}\nid: {id}\ndata: {data}\n\n");
        Ok(())
    }
}
