//! From the ends of attempts to rows.

use std::{collections::HashSet, sync::LazyLock};

use rusqlite::Connection;

use super::{chunks, groups::GroupStatement, moves, statement::PositionalStatement};
use crate::{
    job::{JobResult, Outcome, State},
    store::{
        Finish, FinishOutcome, StoreError, inline_result,
        rows::{RunningAttempt, attempt_of, headers_to_json, to_integer, to_size},
    },
};

/// Records the ends of attempts: successes in statements for many, everything else as decided
/// from its row. The transaction is the caller's, and the only writer.
pub(super) fn finish(
    connection: &Connection,
    finishes: &[Finish],
) -> Result<Vec<FinishOutcome>, StoreError> {
    let succeeded = succeed(connection, finishes)?;
    let mut outcomes = Vec::with_capacity(finishes.len());
    for finish in finishes {
        outcomes.push(if succeeded.contains(&attempt_of(finish)) {
            FinishOutcome::Recorded(State::Succeeded)
        } else {
            finish_one(connection, finish)?
        });
    }
    Ok(outcomes)
}

// The plus signs keep SQLite from indexing the list and going through all jobs.
static SUCCEED: LazyLock<GroupStatement> = LazyLock::new(|| {
    GroupStatement::new(
        "UPDATE jobs SET state = 'succeeded', cancel_requested = false, failure = NULL, \
         finished_at = done.column4, expires_at = done.column4 + jobs.retain_s * 1000000, \
         result_type = done.column5, result_status = done.column6, \
         result_headers = done.column7, result_size = done.column8, result = done.column9 \
         FROM (VALUES ",
        9,
        ") AS done WHERE jobs.id = +done.column1 AND jobs.state = 'running' \
         AND jobs.attempt = +done.column2 AND jobs.lease = +done.column3 \
         RETURNING jobs.id, jobs.attempt, jobs.lease",
    )
});

/// `running → succeeded`; the attempts that moved. The others are no longer their jobs' newest.
fn succeed(
    connection: &Connection,
    finishes: &[Finish],
) -> Result<HashSet<RunningAttempt>, StoreError> {
    let successes: Vec<(&Finish, &JobResult)> = finishes
        .iter()
        .filter_map(|finish| match &finish.outcome {
            Outcome::Succeeded(result) => Some((finish, result)),
            _ => None,
        })
        .collect();
    let mut moved = HashSet::with_capacity(successes.len());
    for (statement, piece) in SUCCEED.pieces(&successes) {
        let mut statement = PositionalStatement::prepare(connection, statement)?;
        for (finish, result) in piece {
            statement
                .bind(finish.id.as_uuid())?
                .bind(to_integer(finish.attempt))?
                .bind(finish.lease.as_uuid())?
                .bind(finish.finished_at)?
                .bind(result.content_type.as_str())?
                .bind(result.status.map(i32::from))?
                .bind(headers_to_json(result)?)?
                .bind(to_size(result.body.size()))?
                .bind(inline_result(&result.body))?;
        }
        statement.for_each(|row| {
            moved.insert((row.get(0)?, row.get(1)?, row.get(2)?));
            Ok(())
        })?;
    }
    for (finish, result) in successes {
        if let Some(body) = result.body.inline()
            && moved.contains(&attempt_of(finish))
        {
            chunks::write(connection, finish.id, finish.attempt, body)?;
        }
    }
    Ok(moved)
}

/// Whatever is no plain success, decided from the row.
fn finish_one(connection: &Connection, finish: &Finish) -> Result<FinishOutcome, StoreError> {
    let row = moves::find(connection, finish.id)?;
    match row.as_ref().and_then(|row| row.finish(finish)) {
        Some(moved) => {
            let state = moved.state();
            moves::write(connection, &[moved])?;
            Ok(FinishOutcome::Recorded(state))
        }
        None => Ok(FinishOutcome::of_unchanged(row.as_ref(), finish)),
    }
}
