//! Writing the moves that were decided one job at a time.

use sqlx::SqliteConnection;

use crate::store::{
    StoreError,
    moves::{EndedAttempt, Moved},
    rows::{to_integer, to_json, to_milliseconds},
    sql,
};

/// Writes moves of rows that this transaction has read, being the only writer.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    moves: &[Moved],
) -> Result<(), StoreError> {
    for moved in moves {
        write_row(connection, moved).await?;
        if let Some(attempt) = &moved.ended_attempt {
            write_attempt(connection, moved, attempt).await?;
        }
    }
    Ok(())
}

async fn write_row(connection: &mut SqliteConnection, moved: &Moved) -> Result<(), StoreError> {
    let failure = moved.failure.as_ref();
    sqlx::query(
        "UPDATE jobs SET state = $2, attempt = $3, max_attempts = $4, crashes = $5, \
         cancel_requested = $6, lease = $7, run_at = $8, queued_at = coalesce($9, queued_at), \
         finished_at = $10, expires_at = $11, failure = coalesce($12, failure), \
         backoff_ms = iif($14, NULL, coalesce($13, backoff_ms)), \
         start_by = iif($14, NULL, start_by), deadline_at = iif($14, NULL, deadline_at) \
         WHERE id = $1",
    )
    .bind(moved.id.as_uuid())
    .bind(moved.state().as_str())
    .bind(to_integer(moved.lifecycle.attempt))
    .bind(to_integer(moved.lifecycle.max_attempts))
    .bind(to_integer(moved.lifecycle.crashes))
    .bind(moved.lifecycle.cancel_requested)
    .bind(moved.lease.map(|lease| *lease.as_uuid()))
    .bind(moved.run_at)
    .bind(moved.queued_at)
    .bind(moved.finished_at)
    .bind(moved.expires_at)
    .bind(
        failure
            .map(|failure| to_json("failure", failure))
            .transpose()?,
    )
    .bind(moved.backoff.map(to_milliseconds))
    .bind(moved.begins_anew)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_attempt(
    connection: &mut SqliteConnection,
    moved: &Moved,
    attempt: &EndedAttempt,
) -> Result<(), StoreError> {
    let failure = attempt.failure.as_ref();
    sqlx::query(sql::INSERT_ENDED_ATTEMPT)
        .bind(moved.id.as_uuid())
        .bind(to_integer(attempt.number))
        .bind(attempt.started_at)
        .bind(attempt.finished_at)
        .bind(attempt.worker.as_deref())
        .bind(attempt.outcome.as_str())
        .bind(
            failure
                .map(|failure| to_json("failure", failure))
                .transpose()?,
        )
        .execute(connection)
        .await?;
    Ok(())
}
