//! Many jobs at once, by the filters of the list: `POST /v1/jobs/cancel`, `POST /v1/jobs/retry`
//! and `DELETE /v1/jobs`.

use actix_web::{HttpRequest, http::StatusCode, web::Data};
use coatcheck_shared::{
    job::{Job, JobFilter, JobId, State, Tenant, filter::PageRequest},
    signal::Signal,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::filter;
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Parameter, Reply, Tag},
    problem::{FieldError, Problem, ProblemType},
    query::{self, Query},
    reply::{self, Answer},
};

/// How many jobs are moved in one transaction.
const PAGE: u32 = 500;

/// What was done, or with `dry_run` would be.
#[derive(Debug, Serialize, JsonSchema)]
struct Moved {
    /// To how many jobs.
    count: u64,
    /// There was not the time for all, or no room under the quota: ask again. Absent where everything is done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// What is done to each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Cancel,
    Retry,
    Delete,
}

impl Move {
    /// The states that it is legal in: jobs in any other are not meant.
    const fn begins_in(self) -> &'static [State] {
        match self {
            Self::Cancel => &[State::Scheduled, State::Queued, State::Running],
            Self::Retry => &[State::Failed, State::Cancelled],
            Self::Delete => &[State::Succeeded, State::Failed, State::Cancelled],
        }
    }
}

/// What this endpoint says of itself.
pub(crate) fn describe_cancel() -> Operation {
    describe("cancelJobs", "Call many jobs off")
}

/// What this endpoint says of itself.
pub(crate) fn describe_retry() -> Operation {
    describe("retryJobs", "Send many jobs round again").problems([ProblemType::QuotaExceeded])
}

/// What this endpoint says of itself.
pub(crate) fn describe_delete() -> Operation {
    describe("deleteJobs", "Forget many finished jobs")
}

fn describe(id: &'static str, summary: &'static str) -> Operation {
    let dry_run = Parameter::query(
        "dry_run",
        "Only count them.",
        || json!({"type": "boolean", "default": false}),
    );
    Operation::new(Tag::ManyJobs, id, summary)
        .says(
            "Those that the filters mean; at least one is needed. Jobs to which it does not apply \
             are left out. Where one request had not the time for all, the same request goes on.",
        )
        .with(filter::PARAMETERS)
        .with([dry_run])
        .answers(Reply::json::<Moved>(
            200,
            "To how many it was done.",
            json!({"count": 42}),
        ))
}

/// Cancels those that wait, tells those that run to stop.
pub(crate) async fn cancel(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    answer(&caller, &api, &request, Move::Cancel).await
}

/// Sends those that have failed or were cancelled round again.
pub(crate) async fn retry(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    answer(&caller, &api, &request, Move::Retry).await
}

/// Forgets those that are finished.
pub(crate) async fn delete(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    answer(&caller, &api, &request, Move::Delete).await
}

async fn answer(caller: &Caller, api: &Api, request: &HttpRequest, wanted: Move) -> Answer {
    let mut query = Query::of(request);
    let mut filter = filter::read(&mut query, caller);
    let dry_run = query.one("dry_run", query::boolean).unwrap_or(false);
    query.finish(&format!("{}, dry_run", filter::KNOWN))?;
    require_filter(request)?;
    let begins_in = wanted.begins_in().iter().copied();
    filter.states = begins_in
        .filter(|state| filter.states.is_empty() || filter.states.contains(state))
        .collect();
    let sweep = Sweep {
        api,
        request,
        tenant: &caller.tenant,
        filter: &filter,
        wanted: (!dry_run).then_some(wanted),
    };
    reply::json(StatusCode::OK, &sweep.carry_out().await?)
}

/// Everything is never meant by saying nothing.
fn require_filter(request: &HttpRequest) -> Result<(), Problem> {
    let mut parameters = url::form_urlencoded::parse(request.query_string().as_bytes());
    if parameters.any(|(name, _)| name != "dry_run") {
        return Ok(());
    }
    Err(Problem::fields(
        ProblemType::InvalidParameter,
        "A move of many jobs needs at least one filter.",
        vec![FieldError {
            pointer: String::new(),
            detail: format!("has no filter; there are {}", filter::KNOWN),
        }],
    ))
}

/// Going through all jobs that a filter means.
struct Sweep<'a> {
    api: &'a Api,
    request: &'a HttpRequest,
    tenant: &'a Tenant,
    filter: &'a JobFilter,
    /// What is done to each; none: they are only counted.
    wanted: Option<Move>,
}

impl Sweep<'_> {
    async fn carry_out(&self) -> Result<Moved, Problem> {
        let deadline = Instant::now() + self.api.longest_bulk;
        let mut moved = Moved {
            count: 0,
            more: false,
        };
        let mut after = None;
        // No state is left to look for where the filter names only others.
        while !self.filter.states.is_empty() {
            let page = self.page(after).await?;
            self.move_all(&page, &mut moved).await?;
            after = page.last().map(|job| job.id);
            if moved.more || page.len() < PAGE as usize {
                break;
            }
            if Instant::now() >= deadline || self.api.draining.is_cancelled() {
                moved.more = true;
                break;
            }
        }
        Ok(moved)
    }

    async fn page(&self, after: Option<JobId>) -> Result<Vec<Job>, Problem> {
        let request = PageRequest {
            after,
            before: None,
            limit: PAGE,
        };
        let store = &self.api.store;
        Ok(store.list(self.tenant, self.filter, request).await?)
    }

    /// Makes the move with those that are still in a state of the filter.
    async fn move_all(&self, jobs: &[Job], moved: &mut Moved) -> Result<(), Problem> {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        match self.wanted {
            None => moved.count += count(ids.len()),
            Some(Move::Cancel) => moved.count += self.cancel(&ids).await?,
            Some(Move::Retry) => self.retry_within_quota(&ids, moved).await?,
            Some(Move::Delete) => {
                let (tenant, states) = (self.tenant, &self.filter.states);
                moved.count += self.api.store.delete_all(tenant, &ids, states).await?;
            }
        }
        Ok(())
    }

    async fn cancel(&self, ids: &[JobId]) -> Result<u64, Problem> {
        let (tenant, states, now) = (self.tenant, &self.filter.states, self.api.now());
        let store = &self.api.store;
        let done = store.cancel_all(tenant, ids, states, now).await?;
        let moved = count(done.cancelled.len() + done.requested.len());
        self.api.announcer.finished(done.cancelled);
        if !done.requested.is_empty() {
            let signal = Signal::CancelRequested(done.requested);
            self.api.announcer.signal(signal);
        }
        Ok(moved)
    }

    /// Retries as many as the quota has room for. Where that is none of all, it is the answer.
    async fn retry_within_quota(&self, ids: &[JobId], moved: &mut Moved) -> Result<(), Problem> {
        let quotas = &self.api.quotas;
        let mut left = ids;
        while !left.is_empty() {
            let wanted = count(left.len());
            let admitted = quotas.admit_some(self.request, self.tenant, 0..=wanted);
            let room = match admitted.await {
                Err(_) if moved.count > 0 => {
                    moved.more = true;
                    return Ok(());
                }
                admitted => admitted?,
            };
            let these = usize::try_from(room).unwrap_or(left.len());
            let (these, rest) = left.split_at(these.min(left.len()));
            let retried = self.retry(these).await?;
            quotas.give_back(self.tenant, room.saturating_sub(retried));
            moved.count += retried;
            left = rest;
        }
        Ok(())
    }

    async fn retry(&self, ids: &[JobId]) -> Result<u64, Problem> {
        let (tenant, states, now) = (self.tenant, &self.filter.states, self.api.now());
        let store = &self.api.store;
        let hints = store.retry_all(tenant, ids, states, now).await?;
        let moved = count(hints.len());
        for hint in hints {
            self.api.announcer.ready(Some(hint));
        }
        Ok(moved)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
