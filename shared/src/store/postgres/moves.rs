//! Writing the moves that were decided one job at a time.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    store::{
        StoreError,
        moves::Moved,
        rows::{to_integer, to_json, to_milliseconds},
        sql,
    },
    timestamp::Timestamp,
};

/// Writes moves of rows that this transaction has locked.
pub(super) async fn write(
    connection: &mut PgConnection,
    moves: &[Moved],
) -> Result<(), StoreError> {
    if moves.is_empty() {
        return Ok(());
    }
    write_rows(connection, moves).await?;
    for moved in moves {
        if let Some(attempt) = &moved.ended_attempt {
            let failure = attempt.failure.as_ref();
            sqlx::query(sql::INSERT_ENDED_ATTEMPT)
                .bind(moved.id.as_uuid())
                .bind(to_integer(attempt.number))
                .bind(attempt.started_at)
                .bind(attempt.finished_at)
                .bind(&attempt.worker)
                .bind(attempt.outcome.as_str())
                .bind(
                    failure
                        .map(|failure| to_json("failure", failure))
                        .transpose()?,
                )
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

async fn write_rows(connection: &mut PgConnection, moves: &[Moved]) -> Result<(), StoreError> {
    fn column<'a, T>(moves: &'a [Moved], of: impl FnMut(&'a Moved) -> T) -> Vec<T> {
        moves.iter().map(of).collect()
    }

    let failures: Vec<Option<String>> = moves
        .iter()
        .map(|moved| {
            let failure = moved.failure.as_ref();
            failure
                .map(|failure| to_json("failure", failure))
                .transpose()
        })
        .collect::<Result<_, _>>()?;
    let ids: Vec<Uuid> = column(moves, |moved| *moved.id.as_uuid());
    let leases: Vec<Option<Uuid>> = column(moves, |moved| moved.lease.map(|id| *id.as_uuid()));
    let queued_at: Vec<Option<Timestamp>> = column(moves, |moved| moved.queued_at);
    sqlx::query(
        "UPDATE jobs SET state = moved.state, attempt = moved.attempt, \
         max_attempts = moved.max_attempts, crashes = moved.crashes, \
         cancel_requested = moved.cancel_requested, lease = moved.lease, \
         run_at = moved.run_at, queued_at = coalesce(moved.queued_at, jobs.queued_at), \
         finished_at = moved.finished_at, expires_at = moved.expires_at, \
         failure = coalesce(moved.failure, jobs.failure), \
         backoff_ms = CASE WHEN moved.begins_anew THEN NULL \
         ELSE coalesce(moved.backoff_ms, jobs.backoff_ms) END, \
         start_by = CASE WHEN moved.begins_anew THEN NULL ELSE jobs.start_by END, \
         deadline_at = CASE WHEN moved.begins_anew THEN NULL ELSE jobs.deadline_at END \
         FROM (SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::integer[]), \
         unnest($4::integer[]), unnest($5::integer[]), unnest($6::boolean[]), unnest($7::uuid[]), \
         unnest($8::timestamptz[]), unnest($9::timestamptz[]), unnest($10::timestamptz[]), \
         unnest($11::timestamptz[]), unnest($12::text[]), unnest($13::bigint[]), \
         unnest($14::boolean[])) \
         AS moved (id, state, attempt, max_attempts, crashes, cancel_requested, lease, run_at, \
         queued_at, finished_at, expires_at, failure, backoff_ms, begins_anew) \
         WHERE jobs.id = ANY (ARRAY[moved.id])",
    )
    .bind(ids)
    .bind(column(moves, |moved| moved.state().as_str()))
    .bind(column(moves, |moved| to_integer(moved.lifecycle.attempt)))
    .bind(column(moves, |moved| {
        to_integer(moved.lifecycle.max_attempts)
    }))
    .bind(column(moves, |moved| to_integer(moved.lifecycle.crashes)))
    .bind(column(moves, |moved| moved.lifecycle.cancel_requested))
    .bind(leases)
    .bind(column(moves, |moved| moved.run_at))
    .bind(queued_at)
    .bind(column(moves, |moved| moved.finished_at))
    .bind(column(moves, |moved| moved.expires_at))
    .bind(failures)
    .bind(column(moves, |moved| moved.backoff.map(to_milliseconds)))
    .bind(column(moves, |moved| moved.begins_anew))
    .execute(connection)
    .await?;
    Ok(())
}
