//! `GET /v1/jobs/{id}/logs`: the lines that a job's attempts have logged.

use actix_web::{HttpRequest, web::Data};
use coatcheck_shared::{store::LogLine, timestamp::Timestamp};
use serde::Serialize;

use super::{
    id_in_path,
    page::{self, Place},
};
use crate::{
    api::Api,
    caller::Caller,
    problem::Problem,
    query::{self, Query},
    reply::Answer,
};

const DEFAULT_LIMIT: u64 = 100;
const LARGEST_LIMIT: u64 = 1_000;

/// The furthest offset: more lines are kept of no job.
const LARGEST_OFFSET: u64 = u32::MAX as u64;

/// A line on the wire.
#[derive(Serialize)]
struct LineView<'a> {
    attempt: u32,
    sequence: u32,
    logged_at: Timestamp,
    text: &'a str,
}

/// A page of lines, oldest first.
#[derive(Serialize)]
struct LinePage<'a> {
    items: Vec<LineView<'a>>,
    next_offset: Option<u64>,
}

/// Lists the lines.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let mut query = Query::of(&request);
    let offset = query.one("offset", |text| query::number(text, 0, LARGEST_OFFSET));
    let limit = query.one("limit", |text| query::number(text, 1, LARGEST_LIMIT));
    query.finish("offset, limit")?;
    let id = id_in_path(&request)?;
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
        items: lines.iter().map(view).collect(),
    };
    page::answer(&request, place, &body, |_| {})
}

fn view(line: &LogLine) -> LineView<'_> {
    LineView {
        attempt: line.attempt,
        sequence: line.sequence,
        logged_at: line.logged_at,
        text: &line.text,
    }
}
