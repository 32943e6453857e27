//! The moves that are decided one job at a time.

use rusqlite::Connection;

use super::statement::{execute, row};
use crate::{
    job::JobId,
    store::{
        StoreError,
        moves::{EndedAttempt, Locked, LockedRow, Moved, decide, locked_columns},
        rows::{to_integer, to_json, to_milliseconds},
        sql,
    },
};

/// A job, held by this transaction, the only writer.
pub(super) fn find(connection: &Connection, id: JobId) -> Result<Option<Locked>, StoreError> {
    let found = row(
        connection,
        concat!(
            "SELECT ",
            locked_columns!(),
            " FROM jobs AS job WHERE job.id = $1"
        ),
        &[id.as_uuid()],
        |row| LockedRow::try_from(row),
    )?;
    found.map(Locked::try_from).transpose()
}

/// Moves jobs that this transaction has read, each as it is decided.
pub(super) fn move_each(
    connection: &Connection,
    jobs: &[Locked],
    decide_one: impl Fn(&Locked) -> Option<Moved>,
) -> Result<Vec<Moved>, StoreError> {
    let moves = decide(jobs, decide_one);
    write(connection, &moves)?;
    Ok(moves)
}

/// Writes moves of rows that this transaction has read, being the only writer.
pub(super) fn write(connection: &Connection, moves: &[Moved]) -> Result<(), StoreError> {
    for moved in moves {
        write_row(connection, moved)?;
        if let Some(attempt) = &moved.ended_attempt {
            write_attempt(connection, moved, attempt)?;
        }
    }
    Ok(())
}

fn write_row(connection: &Connection, moved: &Moved) -> Result<(), StoreError> {
    let failure = moved.failure.as_ref();
    let failure = failure
        .map(|failure| to_json("failure", failure))
        .transpose()?;
    execute(
        connection,
        "UPDATE jobs SET state = $2, attempt = $3, max_attempts = $4, crashes = $5, \
         cancel_requested = $6, lease = $7, run_at = $8, queued_at = coalesce($9, queued_at), \
         finished_at = $10, expires_at = $11, failure = coalesce($12, failure), \
         backoff_ms = iif($14, NULL, coalesce($13, backoff_ms)), \
         start_by = iif($14, NULL, start_by), deadline_at = iif($14, NULL, deadline_at) \
         WHERE id = $1",
        &[
            moved.id.as_uuid(),
            &moved.state().as_str(),
            &to_integer(moved.lifecycle.attempt),
            &to_integer(moved.lifecycle.max_attempts),
            &to_integer(moved.lifecycle.crashes),
            &moved.lifecycle.cancel_requested,
            &moved.lease.map(|lease| *lease.as_uuid()),
            &moved.run_at,
            &moved.queued_at,
            &moved.finished_at,
            &moved.expires_at,
            &failure,
            &moved.backoff.map(to_milliseconds),
            &moved.begins_anew,
        ],
    )?;
    Ok(())
}

fn write_attempt(
    connection: &Connection,
    moved: &Moved,
    attempt: &EndedAttempt,
) -> Result<(), StoreError> {
    let failure = attempt.failure.as_ref();
    let failure = failure
        .map(|failure| to_json("failure", failure))
        .transpose()?;
    execute(
        connection,
        sql::INSERT_ENDED_ATTEMPT,
        &[
            moved.id.as_uuid(),
            &to_integer(attempt.number),
            &attempt.started_at,
            &attempt.finished_at,
            &attempt.worker.as_deref(),
            &attempt.outcome.as_str(),
            &failure,
        ],
    )?;
    Ok(())
}
