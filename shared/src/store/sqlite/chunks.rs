//! Bodies too large for their job's row.

use sqlx::SqliteConnection;

use crate::store::ResultChunk;

crate::store::chunks::define_chunks!(sqlx::Sqlite);

/// Writes a piece of a running attempt's result; false where the attempt is stale. The transaction
/// is the only writer.
pub(super) async fn write_result(
    connection: &mut SqliteConnection,
    chunk: &ResultChunk,
) -> Result<bool, StoreError> {
    let attempt = to_integer(chunk.attempt);
    let written = sqlx::query(
        "INSERT INTO chunks (job_id, attempt, sequence, body) \
         SELECT id, attempt, $4, $5 FROM jobs \
         WHERE id = $1 AND state = 'running' AND attempt = $2 AND lease = $3 \
         ON CONFLICT (job_id, attempt, sequence) DO UPDATE SET body = excluded.body",
    )
    .bind(chunk.id.as_uuid())
    .bind(attempt)
    .bind(chunk.lease.as_uuid())
    .bind(to_integer(chunk.sequence))
    .bind(&*chunk.bytes)
    .execute(&mut *connection)
    .await?
    .rows_affected()
        > 0;
    if written && chunk.sequence == 0 {
        sqlx::query("DELETE FROM chunks WHERE job_id = $1 AND attempt > 0 AND attempt < $2")
            .bind(chunk.id.as_uuid())
            .bind(attempt)
            .execute(connection)
            .await?;
    }
    Ok(written)
}
