//! Bodies too large for their job's row.

use bytes::Bytes;
use sqlx::{PgConnection, Postgres};

use crate::{
    job::JobId,
    store::{ResultChunk, StoreError, chunks_of, pool::Pool, rows::to_integer, sql},
};

/// Writes the chunks of a body, none for one that stays in the row.
pub(super) async fn write(
    connection: &mut PgConnection,
    job: JobId,
    attempt: u32,
    body: &Bytes,
) -> Result<(), StoreError> {
    for (sequence, chunk) in chunks_of(body).enumerate() {
        sqlx::query(sql::INSERT_CHUNK)
            .bind(job.as_uuid())
            .bind(to_integer(attempt))
            .bind(to_integer(sequence))
            .bind(&*chunk)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Writes a piece of a running attempt's result; false where the attempt is stale. One statement,
/// so one round trip; the row is held so that the attempt cannot become stale meanwhile.
pub(super) async fn write_result(
    pool: &Pool<Postgres>,
    chunk: &ResultChunk,
) -> Result<bool, StoreError> {
    let written = sqlx::query(
        "WITH own AS (SELECT id FROM jobs WHERE id = $1 AND state = 'running' AND attempt = $2 \
         AND lease = $3 FOR SHARE), \
         left_over AS (DELETE FROM chunks WHERE $4 = 0 AND job_id = $1 AND attempt > 0 \
         AND attempt < $2 AND EXISTS (SELECT 1 FROM own)) \
         INSERT INTO chunks (job_id, attempt, sequence, body) \
         SELECT id, $2, $4, $5 FROM own \
         ON CONFLICT (job_id, attempt, sequence) DO UPDATE SET body = excluded.body",
    )
    .bind(chunk.id.as_uuid())
    .bind(to_integer(chunk.attempt))
    .bind(chunk.lease.as_uuid())
    .bind(to_integer(chunk.sequence))
    .bind(&*chunk.bytes)
    .execute(pool)
    .await?;
    Ok(written.rows_affected() > 0)
}
