//! From a group of submissions to rows.

use std::collections::HashMap;

use sqlx::{
    Postgres,
    postgres::{PgArguments, PgConnection},
    query::Query,
};
use uuid::Uuid;

use super::{chunks, transaction::Transaction, uniqueness};
use crate::{
    job::{Inserted, JobId, NewJob},
    store::{
        INLINE_LIMIT, PAYLOAD_ATTEMPT, StoreError,
        idempotency::{self, KeyRow},
        inline,
        pool::Pool,
        rows::{metadata_to_json, to_integer, to_milliseconds, to_seconds, to_size},
        sql,
    },
};

/// Each list is unnested in the select list: in FROM Postgres would lay each into a store of its own
/// first.
macro_rules! insert_jobs {
    ($on_conflict:literal) => {
        concat!(
            "INSERT INTO jobs (id, tenant, kind, queue, priority, state, max_attempts, created_at, \
             run_at, queued_at, start_by, deadline_at, timeout_ms, retain_s, metadata, traceparent, \
             payload_type, payload_size, payload) \
             SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), \
             unnest($5::smallint[]), unnest($6::text[]), unnest($7::integer[]), \
             unnest($8::timestamptz[]), unnest($9::timestamptz[]), unnest($10::timestamptz[]), \
             unnest($11::timestamptz[]), unnest($12::timestamptz[]), unnest($13::bigint[]), \
             unnest($14::bigint[]), unnest($15::text[]), unnest($16::text[]), unnest($17::text[]), \
             unnest($18::bigint[]), unnest($19::bytea[])",
            $on_conflict
        )
    };
}

/// Refused as a whole where one of the jobs is there already.
const NEW_ROWS: &str = insert_jobs!("");

/// Adds those that are not there, looking for each first.
const MISSING_ROWS: &str = insert_jobs!(" ON CONFLICT (id) DO NOTHING");

/// Stores what can be stored: in one statement where nothing about the group asks for more.
pub(super) async fn insert(
    pool: &Pool<Postgres>,
    jobs: &[NewJob],
) -> Result<Vec<Inserted>, StoreError> {
    let is_plain = |job: &NewJob| {
        job.idempotency.is_none() && job.unique.is_none() && job.payload.len() <= INLINE_LIMIT
    };
    if jobs.iter().all(is_plain) {
        insert_plain(pool, &jobs.iter().collect::<Vec<_>>()).await?;
        return Ok(vec![Inserted::Stored { replaced: None }; jobs.len()]);
    }
    let mut transaction = Transaction::begin(pool).await?;
    let outcomes = insert_keyed(&mut transaction, jobs).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

/// A group without keys is one statement, which is its own transaction. All are taken for new; only
/// where one turns out to be there, the answer to its insert having been lost, is each looked for.
async fn insert_plain(pool: &Pool<Postgres>, jobs: &[&NewJob]) -> Result<(), StoreError> {
    let new_rows = insertion(NEW_ROWS, jobs)?;
    let mut connection = pool.lend().await?;
    match new_rows.execute(&mut *connection).await {
        Err(sqlx::Error::Database(refusal)) if refusal.is_unique_violation() => {
            insertion(MISSING_ROWS, jobs)?
                .execute(&mut *connection)
                .await?;
        }
        inserted => {
            inserted?;
        }
    }
    connection.settle();
    Ok(())
}

/// Stores what its keys allow; the transaction is the caller's.
pub(super) async fn insert_keyed(
    connection: &mut PgConnection,
    jobs: &[NewJob],
) -> Result<Vec<Inserted>, StoreError> {
    let mut outcomes = take_idempotency_keys(connection, jobs).await?;
    take_unique_keys(connection, jobs, &mut outcomes).await?;
    let stored = Inserted::Stored { replaced: None };
    let outcome_of = |job: &NewJob| outcomes.get(&job.id).unwrap_or(&stored).clone();
    let accepted: Vec<&NewJob> = jobs
        .iter()
        .filter(|job| outcome_of(job).is_stored())
        .collect();
    insertion(MISSING_ROWS, &accepted)?
        .execute(&mut *connection)
        .await?;
    for job in accepted {
        chunks::write(connection, job.id, PAYLOAD_ATTEMPT, &job.payload).await?;
    }
    Ok(jobs.iter().map(outcome_of).collect())
}

/// Takes the keys that are free; what became of the submissions whose keys were not.
async fn take_idempotency_keys(
    connection: &mut PgConnection,
    jobs: &[NewJob],
) -> Result<HashMap<JobId, Inserted>, StoreError> {
    let firsts = idempotency::first_of_each_key(jobs);
    let keys: Vec<_> = firsts
        .iter()
        .filter_map(|job| Some((job, job.idempotency.as_ref()?)))
        .collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let tenants: Vec<&str> = keys.iter().map(|(job, _)| job.tenant.as_str()).collect();
    let texts: Vec<&str> = keys.iter().map(|(_, own)| own.key.as_str()).collect();
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant, key, fingerprint, job_id, status, expires_at) \
         SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::bytea[]), unnest($4::uuid[]), \
         unnest($5::integer[]), unnest($6::timestamptz[]) \
         ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
         job_id = excluded.job_id, status = excluded.status, expires_at = excluded.expires_at \
         WHERE idempotency_keys.expires_at <= $7",
    )
    .bind(&tenants)
    .bind(&texts)
    .bind(
        keys.iter()
            .map(|(_, own)| own.fingerprint.as_slice())
            .collect::<Vec<_>>(),
    )
    .bind(
        keys.iter()
            .map(|(job, _)| *job.id.as_uuid())
            .collect::<Vec<Uuid>>(),
    )
    .bind(
        keys.iter()
            .map(|(_, own)| i32::from(own.status))
            .collect::<Vec<_>>(),
    )
    .bind(
        keys.iter()
            .map(|(_, own)| own.expires_at)
            .collect::<Vec<_>>(),
    )
    .bind(keys.iter().map(|(job, _)| job.created_at).max())
    .execute(&mut *connection)
    .await?;
    let rows: Vec<KeyRow> = sqlx::query_as(
        "SELECT taken.tenant, taken.key, fingerprint, job_id, status \
         FROM (SELECT unnest($1::text[]), unnest($2::text[])) AS own (tenant, key) \
         JOIN idempotency_keys AS taken \
         ON taken.tenant = ANY (ARRAY[own.tenant]) AND taken.key = ANY (ARRAY[own.key])",
    )
    .bind(&tenants)
    .bind(&texts)
    .fetch_all(connection)
    .await?;
    Ok(idempotency::repeated(jobs, &rows))
}

/// Takes the unique keys of what is not repeated, adding what became of it.
async fn take_unique_keys(
    connection: &mut PgConnection,
    jobs: &[NewJob],
    outcomes: &mut HashMap<JobId, Inserted>,
) -> Result<(), StoreError> {
    for job in crate::store::in_order_of_unique_keys(jobs) {
        if outcomes.contains_key(&job.id) {
            continue;
        }
        let outcome = uniqueness::take(connection, job).await?;
        if !outcome.is_stored() {
            sqlx::query(sql::GIVE_BACK_IDEMPOTENCY_KEY)
                .bind(job.id.as_uuid())
                .bind(job.tenant.as_str())
                .bind(job.idempotency.as_ref().map(|own| own.key.as_str()))
                .execute(&mut *connection)
                .await?;
        }
        outcomes.insert(job.id, outcome);
    }
    Ok(())
}

/// A statement of [`NEW_ROWS`] or [`MISSING_ROWS`] with these jobs: an array a column.
fn insertion<'a>(
    statement: &'static str,
    jobs: &[&'a NewJob],
) -> Result<Query<'a, Postgres, PgArguments>, StoreError> {
    fn column<'a, T>(jobs: &[&'a NewJob], of: impl FnMut(&'a NewJob) -> T) -> Vec<T> {
        jobs.iter().copied().map(of).collect()
    }

    let metadata: Vec<Option<String>> = jobs
        .iter()
        .map(|job| metadata_to_json(&job.metadata))
        .collect::<Result<_, _>>()?;
    Ok(sqlx::query(statement)
        .bind(column(jobs, |job| *job.id.as_uuid()))
        .bind(column(jobs, |job| job.tenant.as_str()))
        .bind(column(jobs, |job| job.kind.as_str()))
        .bind(column(jobs, |job| job.queue.as_str()))
        .bind(column(jobs, |job| job.priority.rank()))
        .bind(column(jobs, |job| job.lifecycle().state.as_str()))
        .bind(column(jobs, |job| to_integer(job.max_attempts)))
        .bind(column(jobs, |job| job.created_at))
        .bind(column(jobs, |job| job.run_at))
        .bind(column(jobs, NewJob::queued_at))
        .bind(column(jobs, |job| job.start_by))
        .bind(column(jobs, |job| job.deadline_at))
        .bind(column(jobs, |job| job.timeout.map(to_milliseconds)))
        .bind(column(jobs, |job| to_seconds(job.retain)))
        .bind(metadata)
        .bind(column(jobs, |job| job.traceparent.as_deref()))
        .bind(column(jobs, |job| job.payload_type.as_str()))
        .bind(column(jobs, |job| to_size(job.payload.len())))
        .bind(column(jobs, |job| inline(&job.payload))))
}
