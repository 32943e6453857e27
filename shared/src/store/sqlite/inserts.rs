//! From a group of submissions to rows.

use std::{collections::HashMap, sync::LazyLock};

use sqlx::SqliteConnection;

use super::{chunks, groups::GroupStatement, uniqueness};
use crate::{
    job::{Inserted, JobId, NewJob},
    store::{
        StoreError,
        idempotency::{self, KeyRow},
        inline,
        rows::{metadata_to_json, to_integer, to_milliseconds, to_seconds, to_size},
        sql,
    },
};

/// Stores what its keys allow; the transaction is the caller's, and the only writer.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    jobs: &[NewJob],
) -> Result<Vec<Inserted>, StoreError> {
    let repeated = take_idempotency_keys(connection, jobs).await?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    let mut plain = Vec::with_capacity(jobs.len());
    for job in jobs {
        outcomes.push(match repeated.get(&job.id) {
            Some(outcome) => outcome.clone(),
            // At once: another of the group may ask for the same key.
            None if job.unique.is_some() => insert_unique(connection, job).await?,
            None => {
                plain.push(job);
                Inserted::Stored { replaced: None }
            }
        });
    }
    insert_rows(connection, &plain).await?;
    Ok(outcomes)
}

async fn insert_unique(
    connection: &mut SqliteConnection,
    job: &NewJob,
) -> Result<Inserted, StoreError> {
    let outcome = uniqueness::take(connection, job).await?;
    if outcome.is_stored() {
        insert_rows(connection, &[job]).await?;
    } else if let Some(own) = &job.idempotency {
        sqlx::query(sql::GIVE_BACK_IDEMPOTENCY_KEY)
            .bind(job.id.as_uuid())
            .bind(job.tenant.as_str())
            .bind(own.key.as_str())
            .execute(connection)
            .await?;
    }
    Ok(outcome)
}

/// Takes the keys that are free; what became of the submissions whose keys were not.
async fn take_idempotency_keys(
    connection: &mut SqliteConnection,
    jobs: &[NewJob],
) -> Result<HashMap<JobId, Inserted>, StoreError> {
    let mut rows = Vec::new();
    for job in idempotency::first_of_each_key(jobs) {
        let Some(own) = &job.idempotency else {
            continue;
        };
        sqlx::query(
            "INSERT INTO idempotency_keys (tenant, key, fingerprint, job_id, status, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
             job_id = excluded.job_id, status = excluded.status, \
             expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= $7",
        )
        .bind(job.tenant.as_str())
        .bind(own.key.as_str())
        .bind(own.fingerprint.as_slice())
        .bind(job.id.as_uuid())
        .bind(i32::from(own.status))
        .bind(own.expires_at)
        .bind(job.created_at)
        .execute(&mut *connection)
        .await?;
        let row: KeyRow = sqlx::query_as(
            "SELECT tenant, key, fingerprint, job_id, status FROM idempotency_keys \
             WHERE tenant = $1 AND key = $2",
        )
        .bind(job.tenant.as_str())
        .bind(own.key.as_str())
        .fetch_one(&mut *connection)
        .await?;
        rows.push(row);
    }
    Ok(idempotency::repeated(jobs, &rows))
}

static INSERT: LazyLock<GroupStatement> = LazyLock::new(|| {
    GroupStatement::new(
        "INSERT INTO jobs (id, tenant, kind, queue, priority, state, max_attempts, created_at, \
         run_at, queued_at, start_by, deadline_at, timeout_ms, retain_s, metadata, traceparent, \
         payload_type, payload_size, payload) SELECT * FROM (VALUES ",
        19,
        ") WHERE column1 IS NOT NULL ON CONFLICT (id) DO NOTHING",
    )
});

async fn insert_rows(
    connection: &mut SqliteConnection,
    jobs: &[&NewJob],
) -> Result<(), StoreError> {
    for (statement, piece) in INSERT.pieces(jobs) {
        let mut query = sqlx::query(statement);
        for job in piece {
            query = query
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
                .bind(inline(&job.payload));
        }
        query.execute(&mut *connection).await?;
    }
    for job in jobs {
        chunks::write(connection, job.id, 0, &job.payload).await?;
    }
    Ok(())
}
