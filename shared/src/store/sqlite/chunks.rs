//! Bodies too large for their job's row.

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::statement::execute;
use crate::{
    job::JobId,
    store::{ResultChunk, StoreError, chunks_of, rows::to_integer, sql},
};

/// Writes the chunks of a body, none for one that stays in the row.
pub(super) fn write(
    connection: &Connection,
    job: JobId,
    attempt: u32,
    body: &Bytes,
) -> Result<(), StoreError> {
    for (sequence, chunk) in chunks_of(body).enumerate() {
        let chunk = params![
            job.as_uuid(),
            to_integer(attempt),
            to_integer(sequence),
            &*chunk
        ];
        execute(connection, sql::INSERT_CHUNK, chunk)?;
    }
    Ok(())
}

/// Writes a piece of a running attempt's result; false where the attempt is stale. The transaction
/// is the only writer.
pub(super) fn write_result(
    connection: &Connection,
    chunk: &ResultChunk,
) -> Result<bool, StoreError> {
    let (id, attempt) = (chunk.id.as_uuid(), to_integer(chunk.attempt));
    let written = execute(
        connection,
        "INSERT INTO chunks (job_id, attempt, sequence, body) \
         SELECT id, attempt, $4, $5 FROM jobs \
         WHERE id = $1 AND state = 'running' AND attempt = $2 AND lease = $3 \
         ON CONFLICT (job_id, attempt, sequence) DO UPDATE SET body = excluded.body",
        params![
            id,
            attempt,
            chunk.lease.as_uuid(),
            to_integer(chunk.sequence),
            &*chunk.bytes
        ],
    )?;
    let written = written > 0;
    if written && chunk.sequence == 0 {
        execute(
            connection,
            "DELETE FROM chunks WHERE job_id = $1 AND attempt > 0 AND attempt < $2",
            &[id, &attempt],
        )?;
    }
    Ok(written)
}
