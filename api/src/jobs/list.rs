//! `GET /v1/jobs`: the caller's jobs, newest first, a page at a time.

use std::{fmt, str::FromStr};

use actix_web::{HttpRequest, http::header, web::Data};
use coatcheck_shared::{
    job::{Job, JobFilter, JobId, Tenant, filter::PageRequest},
    store::Store,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    filter,
    page::{self, Place},
    view::JobView,
};
use crate::{
    api::Api,
    caller::Caller,
    openapi::{Operation, Parameter, Reply, Tag, example, field},
    problem::{Problem, ProblemType},
    query::{self, Query},
    range::Asked,
    reply::Answer,
};

const DEFAULT_LIMIT: u32 = 50;
const LARGEST_LIMIT: u32 = 1_000;

/// A cursor as one is handed out.
const EXAMPLE_CURSOR: &str = "o-01a207ea1005727f9ea303ceb4637141-32";

/// How far into the collection a `Range` is followed; one that begins later is ignored.
const FURTHEST_RANGE: u64 = 10_000;

/// A page of jobs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobPage")]
struct JobPage<'a> {
    items: Vec<JobView<'a>>,
    /// Where the next page begins; null behind the last.
    next_cursor: Option<String>,
}

/// Which way a page lies from a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The page begins behind it.
    Older,
    /// The page ends before it.
    Newer,
}

/// Where a page lies: on one side of a job. `index` is the number of the first item on the older
/// side of the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    way: Way,
    job: JobId,
    index: u64,
}

/// A page that has been read.
struct Page {
    jobs: Vec<Job>,
    place: Place,
}

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    let page =
        |next: Option<&str>| json!({"items": [example::succeeded_job()], "next_cursor": next});
    let fields = [field::ETAG, field::VARY, field::ACCEPT_RANGES, field::LINK];
    Operation::new(Tag::ManyJobs, "listJobs", "The caller's jobs, newest first")
        .with(filter::PARAMETERS)
        .with([
            Parameter::query("limit", "How many jobs at most.", || {
                json!({
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LARGEST_LIMIT,
                    "default": DEFAULT_LIMIT,
                })
            }),
            Parameter::query(
                "cursor",
                "Where the page begins, as it was handed out.",
                || {
                    json!({
                        "type": "string",
                        "pattern": "^[on]-[0-9a-f]{32}-(0|[1-9a-f][0-9a-f]{0,7})$",
                    })
                },
            ),
            Parameter::head(
                "Range",
                "The same by numbers, from 0; not with a cursor. What cannot be understood is \
                 ignored.",
                || json!({"type": "string", "examples": ["items=0-49"]}),
            ),
        ])
        .conditional()
        .answers(Reply::json::<JobPage<'_>>(200, "All there are.", page(None)).always(fields))
        .answers(
            Reply::json::<JobPage<'_>>(206, "A page of them.", page(Some(EXAMPLE_CURSOR)))
                .always(fields)
                .always([field::CONTENT_RANGE]),
        )
        .answers(
            Reply::not_modified()
                .always([field::ACCEPT_RANGES, field::LINK])
                .sometimes([field::CONTENT_RANGE]),
        )
        .problems([ProblemType::RangeNotSatisfiable])
}

/// Lists jobs.
pub(crate) async fn get(caller: Caller, api: Data<Api>, request: HttpRequest) -> Answer {
    let mut query = Query::of(&request);
    let filter = filter::read(&mut query, &caller);
    let limit = query.one("limit", limit);
    let cursor = query.one("cursor", |text| {
        text.parse::<Cursor>()
            .map_err(|()| "is none that this server has handed out".to_owned())
    });
    query.finish(&format!("{}, limit, cursor", filter::KNOWN))?;
    let asked = Asked::of(&request, "items").filter(|_| cursor.is_none());
    let listing = Listing {
        store: &*api.store,
        tenant: &caller.tenant,
        filter: &filter,
    };
    let page = match asked {
        Some(Asked::From { first, last }) if first <= FURTHEST_RANGE => {
            listing.range(first, last, limit).await?
        }
        _ => listing.page(cursor, limit.unwrap_or(DEFAULT_LIMIT)).await?,
    };
    answer(&request, &page)
}

fn limit(text: &str) -> Result<u32, String> {
    let number = query::number(text, 1, LARGEST_LIMIT.into())?;
    u32::try_from(number).map_err(|error| error.to_string())
}

/// A collection to read pages of.
struct Listing<'a> {
    store: &'a dyn Store,
    tenant: &'a Tenant,
    filter: &'a JobFilter,
}

impl Listing<'_> {
    async fn page(&self, cursor: Option<Cursor>, limit: u32) -> Result<Page, Problem> {
        match cursor {
            Some(cursor) if cursor.way == Way::Newer => self.page_before(cursor, limit).await,
            _ => self.page_after(cursor, limit).await,
        }
    }

    async fn page_after(&self, cursor: Option<Cursor>, limit: u32) -> Result<Page, Problem> {
        let request = PageRequest {
            after: cursor.map(|cursor| cursor.job),
            before: None,
            // One more than is shown tells whether there is more.
            limit: limit + 1,
        };
        let mut jobs = self.store.list(self.tenant, self.filter, request).await?;
        let more = jobs.len() > limit as usize;
        jobs.truncate(limit as usize);
        let place = Place {
            first: cursor.map_or(0, |cursor| cursor.index),
            count: jobs.len() as u64,
            more,
        };
        Ok(Page { jobs, place })
    }

    async fn page_before(&self, cursor: Cursor, limit: u32) -> Result<Page, Problem> {
        let request = PageRequest {
            after: None,
            before: Some(cursor.job),
            limit,
        };
        let jobs = self.store.list(self.tenant, self.filter, request).await?;
        let count = jobs.len() as u64;
        let place = Place {
            // Fewer than there is room for are the first there are.
            first: if count < u64::from(limit) {
                0
            } else {
                cursor.index.saturating_sub(count)
            },
            count,
            // The job that it ends before, at least.
            more: true,
        };
        Ok(Page { jobs, place })
    }

    /// Reads on from the beginning to where the range begins.
    async fn range(
        &self,
        first: u64,
        last: Option<u64>,
        limit: Option<u32>,
    ) -> Result<Page, Problem> {
        let mut cursor: Option<Cursor> = None;
        loop {
            let index = cursor.map_or(0, |cursor| cursor.index);
            if index == first {
                break;
            }
            let step = u32::try_from(first - index).unwrap_or(LARGEST_LIMIT);
            let page = self.page(cursor, step.min(LARGEST_LIMIT)).await?;
            if !page.place.more {
                return Err(page::past_the_end(index + page.place.count));
            }
            cursor = page.next();
        }
        let length = last.map_or(u64::MAX, |last| (last - first).saturating_add(1));
        let longest = limit.unwrap_or(LARGEST_LIMIT);
        let limit = u32::try_from(length).unwrap_or(longest).min(longest);
        let page = self.page(cursor, limit).await?;
        if page.jobs.is_empty() {
            return Err(page::past_the_end(first));
        }
        Ok(page)
    }
}

impl Page {
    fn next(&self) -> Option<Cursor> {
        let last = self.jobs.last().filter(|_| self.place.more)?;
        Some(Cursor {
            way: Way::Older,
            job: last.id,
            index: self.place.first + self.place.count,
        })
    }

    fn previous(&self) -> Option<Cursor> {
        let first = self.jobs.first().filter(|_| self.place.first > 0)?;
        Some(Cursor {
            way: Way::Newer,
            job: first.id,
            index: self.place.first,
        })
    }
}

fn answer(request: &HttpRequest, page: &Page) -> Answer {
    let next = page.next().map(|cursor| cursor.to_string());
    let mut links = format!("<{}>; rel=\"first\"", link(request, None));
    let previous = page.previous().map(|cursor| cursor.to_string());
    for (relation, cursor) in [("next", &next), ("prev", &previous)] {
        if let Some(cursor) = cursor {
            let target = link(request, Some(cursor));
            links = format!("{links}, <{target}>; rel=\"{relation}\"");
        }
    }
    let body = JobPage {
        items: page.jobs.iter().map(JobView::of).collect(),
        next_cursor: next,
    };
    page::answer(request, page.place, &body, |response| {
        response.insert_header((header::LINK, links));
    })
}

/// The same list from another place on.
fn link(request: &HttpRequest, cursor: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        if name != "cursor" {
            query.append_pair(&name, &value);
        }
    }
    if let Some(cursor) = cursor {
        query.append_pair("cursor", cursor);
    }
    let query = query.finish();
    if query.is_empty() {
        request.path().to_owned()
    } else {
        format!("{}?{query}", request.path())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Older => 'o',
            Way::Newer => 'n',
        };
        let job = self.job.as_uuid().simple();
        write!(formatter, "{way}-{job}-{:x}", self.index)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(());
        let cursor = Self {
            way: match part()? {
                "o" => Way::Older,
                "n" => Way::Newer,
                _ => return Err(()),
            },
            job: JobId::from_uuid(Uuid::try_parse(part()?).map_err(|_| ())?),
            index: u64::from(u32::from_str_radix(part()?, 16).map_err(|_| ())?),
        };
        // One spelling alone, as it was handed out.
        (cursor.to_string() == text).then_some(cursor).ok_or(())
    }
}
