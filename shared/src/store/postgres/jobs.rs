//! What the API asks of Postgres.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use super::{PostgresStore, chunks, moves};
use crate::{
    job::{JobId, NewJob, Tenant},
    store::{
        CancelOutcome, INLINE_LIMIT, JobStore, StoreError, inline,
        moves::{Locked, LockedRow, locked_columns},
        rows::{JobRow, metadata_to_json, to_integer, to_milliseconds, to_seconds, to_size},
        sql,
    },
    timestamp::Timestamp,
};

#[async_trait]
impl JobStore for PostgresStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.within("now", || async {
            Ok(sqlx::query_scalar("SELECT clock_timestamp()")
                .fetch_one(&self.writer)
                .await?)
        })
        .await
    }

    async fn insert(&self, jobs: Vec<NewJob>) -> Result<(), StoreError> {
        let has_chunks = jobs.iter().any(|job| job.payload.len() > INLINE_LIMIT);
        let jobs = &jobs;
        self.within("insert", || async move {
            if !has_chunks {
                return insert_rows(&mut *self.writer.acquire().await?, jobs).await;
            }
            let mut transaction = self.writer.begin().await?;
            insert_rows(&mut transaction, jobs).await?;
            for job in jobs {
                chunks::write(&mut transaction, job.id, 0, &job.payload).await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn cancel(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<CancelOutcome>, StoreError> {
        self.within("cancel", || async move {
            let mut transaction = self.writer.begin().await?;
            let row: Option<LockedRow> = sqlx::query_as(concat!(
                "SELECT ",
                locked_columns!(),
                " FROM jobs AS job WHERE job.tenant = $1 AND job.id = $2 FOR UPDATE OF job"
            ))
            .bind(tenant.as_str())
            .bind(id.as_uuid())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(row) = row else { return Ok(None) };
            let locked = Locked::try_from(row)?;
            let moved = locked.cancel(now);
            moves::write(&mut transaction, moved.as_slice()).await?;
            let row: JobRow = sqlx::query_as(sql::GET)
                .bind(tenant.as_str())
                .bind(id.as_uuid())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Some(CancelOutcome::of(moved.is_some(), row.try_into()?)))
        })
        .await
    }
}

/// One statement for the whole group: an array a column.
async fn insert_rows(connection: &mut PgConnection, jobs: &[NewJob]) -> Result<(), StoreError> {
    fn column<'a, T>(jobs: &'a [NewJob], of: impl FnMut(&'a NewJob) -> T) -> Vec<T> {
        jobs.iter().map(of).collect()
    }

    let metadata: Vec<Option<String>> = jobs
        .iter()
        .map(|job| metadata_to_json(&job.metadata))
        .collect::<Result<_, _>>()?;
    sqlx::query(
        "INSERT INTO jobs (id, tenant, kind, queue, priority, state, max_attempts, created_at, \
         run_at, queued_at, start_by, deadline_at, timeout_ms, retain_s, metadata, traceparent, \
         payload_type, payload_size, payload) \
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], \
         $6::text[], $7::integer[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], \
         $11::timestamptz[], $12::timestamptz[], $13::bigint[], $14::bigint[], $15::text[], \
         $16::text[], $17::text[], $18::bigint[], $19::bytea[]) \
         ON CONFLICT (id) DO NOTHING",
    )
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
    .bind(column(jobs, |job| inline(&job.payload)))
    .execute(connection)
    .await?;
    Ok(())
}
