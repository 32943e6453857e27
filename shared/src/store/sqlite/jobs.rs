//! What the API asks of SQLite.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteStore, chunks, clock_now, moves};
use crate::{
    job::{JobId, NewJob, Tenant},
    store::{
        CancelOutcome, JobStore, StoreError, inline,
        moves::{Locked, LockedRow, locked_columns},
        rows::{JobRow, metadata_to_json, to_integer, to_milliseconds, to_seconds, to_size},
        sql,
    },
    timestamp::Timestamp,
};

#[async_trait]
impl JobStore for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.within("now", || async {
            // Nothing to ask but whether the file answers.
            sqlx::query("SELECT 1 FROM queues LIMIT 1")
                .fetch_optional(&self.reader)
                .await?;
            Ok(clock_now())
        })
        .await
    }

    async fn insert(&self, jobs: Vec<NewJob>) -> Result<(), StoreError> {
        let jobs = &jobs;
        self.within("insert", || async move {
            let mut transaction = self.begin().await?;
            for job in jobs {
                insert_row(&mut transaction, job).await?;
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
            let mut transaction = self.begin().await?;
            let row: Option<LockedRow> = sqlx::query_as(concat!(
                "SELECT ",
                locked_columns!(),
                " FROM jobs AS job WHERE job.tenant = $1 AND job.id = $2"
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

async fn insert_row(connection: &mut SqliteConnection, job: &NewJob) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO jobs (id, tenant, kind, queue, priority, state, max_attempts, created_at, \
         run_at, queued_at, start_by, deadline_at, timeout_ms, retain_s, metadata, traceparent, \
         payload_type, payload_size, payload) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
         $19) ON CONFLICT (id) DO NOTHING",
    )
    .bind(job.id.as_uuid())
    .bind(job.tenant.as_str())
    .bind(job.kind.as_str())
    .bind(job.queue.as_str())
    .bind(job.priority.rank())
    .bind(job.lifecycle().state.as_str())
    .bind(to_integer(job.max_attempts))
    .bind(job.created_at)
    .bind(job.run_at)
    .bind(job.queued_at())
    .bind(job.start_by)
    .bind(job.deadline_at)
    .bind(job.timeout.map(to_milliseconds))
    .bind(to_seconds(job.retain))
    .bind(metadata_to_json(&job.metadata)?)
    .bind(job.traceparent.as_deref())
    .bind(job.payload_type.as_str())
    .bind(to_size(job.payload.len()))
    .bind(inline(&job.payload))
    .execute(connection)
    .await?;
    Ok(())
}
