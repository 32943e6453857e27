//! `GET /v1/jobs/{id}/logs`: the lines that a job's attempts have logged, a page of them, or with
//! `follow=true` all of them from an offset on until the job has ended, one JSON object a line.

use actix_web::{HttpRequest, http::Method, web::Data};
use coatcheck_shared::{
    job::{JobId, Tenant},
    store::{LogLine, StoreError},
    timestamp::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{
    following::{self, Follower, LINES_AT_ONCE, News, may_have_more},
    id_in_path,
    page::{self, Place},
};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Parameter, Reply, Tag, field, parameter},
    problem::{Problem, ProblemType},
    query::{self, Query},
    reply::Answer,
};

const LINES_OF_JSON: &str = "application/x-ndjson";

const DEFAULT_LIMIT: u64 = 100;
const LARGEST_LIMIT: u64 = 1_000;

/// The furthest offset: more lines are kept of no job.
const LARGEST_OFFSET: u64 = u32::MAX as u64;

/// A line on the wire.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogLine")]
pub(super) struct LineView<'a> {
    /// The attempt that logged it.
    attempt: u32,
    /// Its number within the attempt.
    sequence: u32,
    /// When it was logged.
    logged_at: Timestamp,
    /// What it says.
    text: &'a str,
}

/// A page of lines, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogPage")]
struct LinePage<'a> {
    items: Vec<LineView<'a>>,
    /// Where the next page begins; null behind the last.
    next_offset: Option<u64>,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let line = json!({
        "attempt": 1,
        "sequence": 1,
        "logged_at": "2026-11-23T10:05:18.240687Z",
        "text": "one",
    });
    let page = json!({"items": [line], "next_offset": null});
    Operation::new(Tag::Jobs, "getLogs", "The lines that a job has logged")
        .says(
            "A page of them, or with `follow=true` all from `offset` on until the job has ended, a \
             JSON object a line; an empty line says that the connection stands.",
        )
        .with([
            parameter::JOB_ID,
            Parameter::query("offset", "How many lines to leave out.", || {
                json!({"type": "integer", "minimum": 0, "maximum": LARGEST_OFFSET, "default": 0})
            }),
            Parameter::query("limit", "How many lines at most; not with `follow=true`.", || {
                json!({
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LARGEST_LIMIT,
                    "default": DEFAULT_LIMIT,
                })
            }),
            Parameter::query("follow", "All of them, as they come.", || {
                json!({"type": "boolean", "default": false})
            }),
        ])
        .conditional()
        .answers(
            Reply::json::<LinePage<'_>>(200, "All lines from the first on, or those that follow.", page.clone())
                .or_as::<Vec<LineView<'_>>>(LINES_OF_JSON, page["items"].clone())
                .sometimes([field::ETAG, field::VARY, field::ACCEPT_RANGES]),
        )
        .answers(
            Reply::json::<LinePage<'_>>(206, "A page of them.", page)
                .always([field::ETAG, field::VARY, field::ACCEPT_RANGES, field::CONTENT_RANGE]),
        )
        .answers(Reply::not_modified().sometimes([field::ACCEPT_RANGES, field::CONTENT_RANGE]))
        .problems([ProblemType::JobNotFound, ProblemType::Overloaded])
}

/// Lists the lines.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let mut query = Query::of(&request);
    let offset = query.one("offset", |text| query::number(text, 0, LARGEST_OFFSET));
    let limit = query.one("limit", |text| query::number(text, 1, LARGEST_LIMIT));
    let follow = query.one("follow", boolean).unwrap_or(false);
    if follow && limit.is_some() {
        query.wrong(
            "limit",
            "means nothing with `follow=true`: every line is sent",
        );
    }
    query.finish("offset, limit, follow")?;
    let id = id_in_path(&request)?;
    if follow {
        return until_the_end(caller, api, &request, id, offset.unwrap_or(0)).await;
    }
    let (offset, limit) = (offset.unwrap_or(0), limit.unwrap_or(DEFAULT_LIMIT));
    let asked = u32::try_from(limit + 1).map_err(|error| Problem::internal(&error))?;
    let mut lines = api
        .store
        .logs(&caller.tenant, id, offset, asked)
        .await?
        .ok_or_else(Problem::no_job)?;
    let more = lines.len() as u64 > limit;
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let place = Place {
        first: offset,
        count: lines.len() as u64,
        more,
    };
    let body = LinePage {
        next_offset: more.then_some(offset + place.count),
        items: lines.iter().map(LineView::of).collect(),
    };
    page::answer(&request, place, &body, |_| {})
}

impl<'a> LineView<'a> {
    /// The representation of a line.
    pub(super) fn of(line: &'a LogLine) -> Self {
        Self {
            attempt: line.attempt,
            sequence: line.sequence,
            logged_at: line.logged_at,
            text: &line.text,
        }
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

async fn until_the_end(
    caller: Caller,
    api: Data<Api>,
    request: &HttpRequest,
    id: JobId,
    offset: u64,
) -> Answer {
    let tenant = caller.tenant.clone();
    if api.store.get(&tenant, id).await?.is_none() {
        return Err(Problem::no_job());
    }
    if request.method() == Method::HEAD {
        return Ok(following::nothing(LINES_OF_JSON));
    }
    let lines = Lines { tenant, id, offset };
    following::answer(api, caller, id, LINES_OF_JSON, lines)
}

/// The lines of a log from an offset on.
struct Lines {
    tenant: Tenant,
    id: JobId,
    offset: u64,
}

impl Follower for Lines {
    /// An empty line: who reads JSON line by line skips it.
    const KEEP_ALIVE: &'static str = "\n";

    async fn look(&mut self, api: &Api) -> Result<News, StoreError> {
        let Some(job) = api.store.get(&self.tenant, self.id).await? else {
            return Ok(News::none_ever());
        };
        // Read after the state, so that nothing said before the end is missed.
        let lines = api
            .store
            .logs(&self.tenant, self.id, self.offset, LINES_AT_ONCE)
            .await?
            .unwrap_or_default();
        let mut text = String::new();
        for line in &lines {
            let line = serde_json::to_string(&LineView::of(line))
                .map_err(|error| StoreError::corrupt("line", error))?;
            text.push_str(&line);
            text.push('\n');
        }
        self.offset += lines.len() as u64;
        Ok(News {
            text,
            is_last: job.lifecycle.state.is_terminal() && !may_have_more(&lines),
        })
    }
}
