//! Rows as both databases give them, and the domain's values that they hold.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Finish, LogLine, StoreError};
use crate::{
    api_key::ApiKey,
    job::{
        Attempt, AttemptOutcome, Body, ClaimedJob, Job, JobId, JobResult, LeaseId, Lifecycle,
        Metadata, Priority,
    },
    queue::{Hint, Lane},
    timestamp::Timestamp,
};

/// Reads a row by the library of SQLite's writer, which does not know [`FromRow`]: each column by
/// its name, and what is nested from the same row.
macro_rules! read_by_the_writer {
    ($row:ident { $($column:ident),+ $(; $nested:ident)? }) => {
        impl TryFrom<&rusqlite::Row<'_>> for $row {
            type Error = rusqlite::Error;

            fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                Ok(Self {
                    $($column: row.get(stringify!($column))?,)+
                    $($nested: row.try_into()?,)?
                })
            }
        }
    };
}
pub(super) use read_by_the_writer;

/// What an attempt is known by in a row: its job, its number, its lease.
pub(super) type RunningAttempt = (Uuid, i32, Uuid);

/// The attempt that has ended.
pub(super) fn attempt_of(finish: &Finish) -> RunningAttempt {
    let (id, lease) = (finish.id.as_uuid(), finish.lease.as_uuid());
    (*id, to_integer(finish.attempt), *lease)
}

/// The columns of a [`JobRow`].
macro_rules! job_columns {
    () => {
        "id, tenant, kind, queue, priority, state, attempt, max_attempts, crashes, \
         cancel_requested, created_at, run_at, started_at, finished_at, expires_at, timeout_ms, \
         start_by, deadline_at, progress, failure, metadata"
    };
}
pub(super) use job_columns;

/// A job without its payload and result.
#[derive(FromRow)]
pub(super) struct JobRow {
    pub(super) id: Uuid,
    tenant: String,
    kind: String,
    queue: String,
    #[sqlx(flatten)]
    lifecycle: LifecycleRow,
    priority: i16,
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    timeout_ms: Option<i64>,
    start_by: Option<Timestamp>,
    deadline_at: Option<Timestamp>,
    progress: Option<String>,
    failure: Option<String>,
    metadata: Option<String>,
}

read_by_the_writer!(JobRow {
    id, tenant, kind, queue, priority, created_at, run_at, started_at, finished_at, expires_at,
    timeout_ms, start_by, deadline_at, progress, failure, metadata; lifecycle
});

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: JobId::from_uuid(row.id),
            tenant: parsed("tenant", &row.tenant)?,
            kind: parsed("kind", &row.kind)?,
            queue: parsed("queue", &row.queue)?,
            priority: priority(row.priority)?,
            lifecycle: row.lifecycle.try_into()?,
            created_at: row.created_at,
            run_at: row.run_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            expires_at: row.expires_at,
            timeout: row.timeout_ms.map(milliseconds),
            start_by: row.start_by,
            deadline_at: row.deadline_at,
            progress: from_json("progress", row.progress.as_deref())?,
            failure: from_json("failure", row.failure.as_deref())?,
            metadata: from_json("metadata", row.metadata.as_deref())?.unwrap_or_default(),
        })
    }
}

/// The part of a job that its moves change.
#[derive(FromRow)]
pub(super) struct LifecycleRow {
    state: String,
    attempt: i32,
    max_attempts: i32,
    crashes: i32,
    cancel_requested: bool,
}

read_by_the_writer!(LifecycleRow {
    state,
    attempt,
    max_attempts,
    crashes,
    cancel_requested
});

impl TryFrom<LifecycleRow> for Lifecycle {
    type Error = StoreError;

    fn try_from(row: LifecycleRow) -> Result<Self, StoreError> {
        Ok(Self {
            state: parsed("state", &row.state)?,
            attempt: count("attempt", row.attempt)?,
            max_attempts: count("number of attempts", row.max_attempts)?,
            crashes: count("number of crashes", row.crashes)?,
            cancel_requested: row.cancel_requested,
        })
    }
}

/// The columns of a [`ClaimedRow`].
macro_rules! claimed_columns {
    () => {
        "id, tenant, kind, queue, attempt, max_attempts, created_at, queued_at, started_at, \
         timeout_ms, deadline_at, backoff_ms, payload_type, payload_size, payload, metadata, traceparent"
    };
}
pub(super) use claimed_columns;

/// A job as it is when it has just been claimed.
#[derive(FromRow)]
pub(super) struct ClaimedRow {
    pub(super) id: Uuid,
    tenant: String,
    kind: String,
    queue: String,
    pub(super) attempt: i32,
    max_attempts: i32,
    created_at: Timestamp,
    queued_at: Option<Timestamp>,
    started_at: Timestamp,
    timeout_ms: Option<i64>,
    deadline_at: Option<Timestamp>,
    backoff_ms: Option<i64>,
    payload_type: String,
    payload_size: i64,
    payload: Option<Vec<u8>>,
    metadata: Option<String>,
    traceparent: Option<String>,
}

read_by_the_writer!(ClaimedRow {
    id,
    tenant,
    kind,
    queue,
    attempt,
    max_attempts,
    created_at,
    queued_at,
    started_at,
    timeout_ms,
    deadline_at,
    backoff_ms,
    payload_type,
    payload_size,
    payload,
    metadata,
    traceparent
});

impl ClaimedRow {
    /// The job, under the lease by which it was claimed.
    pub(super) fn into_job(self, lease: LeaseId) -> Result<ClaimedJob, StoreError> {
        Ok(ClaimedJob {
            id: JobId::from_uuid(self.id),
            tenant: parsed("tenant", &self.tenant)?,
            kind: parsed("kind", &self.kind)?,
            queue: parsed("queue", &self.queue)?,
            attempt: count("attempt", self.attempt)?,
            max_attempts: count("number of attempts", self.max_attempts)?,
            lease,
            created_at: self.created_at,
            queued_at: self.queued_at.unwrap_or(self.created_at),
            started_at: self.started_at,
            timeout: self.timeout_ms.map(milliseconds),
            deadline_at: self.deadline_at,
            previous_backoff: self.backoff_ms.map(milliseconds),
            payload_type: self.payload_type,
            payload: body("payload", self.payload, self.payload_size)?,
            metadata: from_json("metadata", self.metadata.as_deref())?.unwrap_or_default(),
            traceparent: self.traceparent,
        })
    }
}

/// What a succeeded job left, without a body that lies in chunks.
#[derive(FromRow)]
pub(super) struct ResultRow {
    result_type: Option<String>,
    result_status: Option<i32>,
    result_headers: Option<String>,
    result_size: Option<i64>,
    result: Option<Vec<u8>>,
}

impl ResultRow {
    /// The result; none where the job left none.
    pub(super) fn into_result(self) -> Result<Option<JobResult>, StoreError> {
        let (Some(size), Some(content_type)) = (self.result_size, self.result_type) else {
            return Ok(None);
        };
        Ok(Some(JobResult {
            content_type,
            status: self
                .result_status
                .and_then(|status| u16::try_from(status).ok()),
            headers: from_json("result header", self.result_headers.as_deref())?
                .unwrap_or_default(),
            body: body("result", self.result, size)?,
        }))
    }
}

/// An attempt that another followed.
#[derive(FromRow)]
pub(super) struct AttemptRow {
    number: i32,
    started_at: Timestamp,
    finished_at: Timestamp,
    worker: Option<String>,
    outcome: String,
    failure: Option<String>,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let outcome = serde_json::Value::String(row.outcome);
        Ok(Self {
            number: count("attempt", row.number)?,
            started_at: row.started_at,
            finished_at: Some(row.finished_at),
            worker: row.worker,
            outcome: Some(
                serde_json::from_value::<AttemptOutcome>(outcome)
                    .map_err(|error| StoreError::corrupt("attempt's outcome", error))?,
            ),
            failure: from_json("failure", row.failure.as_deref())?,
        })
    }
}

/// A line of a log.
#[derive(FromRow)]
pub(super) struct LogRow {
    attempt: i32,
    started_at: Timestamp,
    sequence: i32,
    logged_at: Timestamp,
    line: String,
}

impl LogRow {
    /// The line, of this job.
    pub(super) fn into_line(self, job: JobId) -> Result<LogLine, StoreError> {
        Ok(LogLine {
            job,
            attempt: count("attempt", self.attempt)?,
            started_at: self.started_at,
            sequence: count("line number", self.sequence)?,
            logged_at: self.logged_at,
            text: self.line,
        })
    }
}

/// A key.
#[derive(FromRow)]
pub(super) struct ApiKeyRow {
    id: Uuid,
    secret_hash: Vec<u8>,
    tenant: String,
    scopes: String,
    queues: Option<String>,
    kinds: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self, StoreError> {
        let secret_hash = row
            .secret_hash
            .try_into()
            .map_err(|_| StoreError::corrupt("hash of a secret", "it is not of 32 bytes"))?;
        Ok(Self {
            id: row.id,
            secret_hash,
            tenant: parsed("tenant", &row.tenant)?,
            scopes: from_json("list of scopes", Some(&row.scopes))?.unwrap_or_default(),
            queues: from_json("list of queues", row.queues.as_deref())?,
            kinds: from_json("list of kinds", row.kinds.as_deref())?,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

/// Where a job waits.
#[derive(FromRow)]
pub(super) struct HintRow {
    id: Uuid,
    queue: String,
    priority: i16,
}

impl TryFrom<HintRow> for Hint {
    type Error = StoreError;

    fn try_from(row: HintRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: JobId::from_uuid(row.id),
            lane: Lane {
                queue: parsed("queue", &row.queue)?,
                priority: priority(row.priority)?,
            },
        })
    }
}

/// Every row as what it holds, or the first that cannot be read.
pub(super) fn all<Row, Value>(rows: Vec<Row>) -> Result<Vec<Value>, StoreError>
where
    Value: TryFrom<Row, Error = StoreError>,
{
    rows.into_iter().map(Value::try_from).collect()
}

/// A text of the database as the domain's value.
pub(super) fn parsed<Value>(what: &'static str, text: &str) -> Result<Value, StoreError>
where
    Value: std::str::FromStr<Err: ToString>,
{
    text.parse()
        .map_err(|error: Value::Err| StoreError::corrupt(what, error.to_string()))
}

/// A rank of the database as a priority.
pub(super) fn priority(rank: i16) -> Result<Priority, StoreError> {
    Priority::from_rank(rank).ok_or_else(|| StoreError::corrupt("priority", rank))
}

/// A JSON text of the database, none where it is null.
pub(super) fn from_json<Value: DeserializeOwned>(
    what: &'static str,
    text: Option<&str>,
) -> Result<Option<Value>, StoreError> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| StoreError::corrupt(what, error))
}

/// A value as the JSON text that is kept.
pub(super) fn to_json(what: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(what, error))
}

/// The header fields of a result as they are kept, none where it has none.
pub(super) fn headers_to_json(result: &JobResult) -> Result<Option<String>, StoreError> {
    if result.headers.is_empty() {
        return Ok(None);
    }
    to_json("result header", &result.headers).map(Some)
}

/// The metadata of a job as they are kept, none where it has none.
pub(super) fn metadata_to_json(metadata: &Metadata) -> Result<Option<String>, StoreError> {
    if metadata.is_empty() {
        return Ok(None);
    }
    to_json("metadata", metadata).map(Some)
}

/// A length as the database keeps it.
pub(super) fn to_size(length: impl TryInto<i64>) -> i64 {
    length.try_into().unwrap_or(i64::MAX)
}

/// Whole seconds as the database keeps them.
pub(super) fn to_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// A duration as the database keeps it.
pub(super) fn to_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A number as the database keeps it: 32 bits hold every attempt, line and chunk that can be.
pub(super) fn to_integer(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

fn count(what: &'static str, number: i32) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|error| StoreError::corrupt(what, error))
}

/// What a row says of a body: the bytes, where they lie in it, and how many there are.
fn body(what: &'static str, bytes: Option<Vec<u8>>, size: i64) -> Result<Body, StoreError> {
    let size = u64::try_from(size).map_err(|error| StoreError::corrupt(what, error))?;
    match bytes {
        None => Ok(Body::Stored { size }),
        Some(bytes) if bytes.len() as u64 == size => Ok(Body::Inline(bytes.into())),
        Some(bytes) => {
            let detail = format!("{} of {size} bytes are there", bytes.len());
            Err(StoreError::corrupt(what, detail))
        }
    }
}
