//! The cold moves that a client asks for. The transaction is the only writer: nothing else moves
//! the jobs.

use rusqlite::{Connection, params};

use super::{
    ids_as_json, moves,
    statement::{row, rows},
};
use crate::{
    job::Job,
    store::{
        StoreError,
        moves::{Locked, LockedRow, Moved, locked_columns},
        rows::JobRow,
        selection::Selection,
        sql,
    },
};

/// Those that are there.
pub(super) fn find(
    connection: &Connection,
    selection: &Selection,
) -> Result<Vec<Locked>, StoreError> {
    let found = rows(
        connection,
        concat!(
            "SELECT ",
            locked_columns!(),
            " FROM jobs AS job WHERE job.tenant = $1 \
             AND job.id IN (SELECT unhex(value) FROM json_each($2))"
        ),
        params![selection.tenant.as_str(), ids_as_json(&selection.ids)],
        |row| LockedRow::try_from(row),
    )?;
    selection.among(found)
}

/// Moves them, each as it is decided.
pub(super) fn move_each(
    connection: &Connection,
    selection: &Selection,
    decide_one: impl Fn(&Locked) -> Option<Moved>,
) -> Result<Vec<Moved>, StoreError> {
    moves::move_each(connection, &find(connection, selection)?, decide_one)
}

/// The first of them, as it is now.
pub(super) fn first(
    connection: &Connection,
    selection: &Selection,
) -> Result<Option<Job>, StoreError> {
    let Some(id) = selection.ids.first() else {
        return Ok(None);
    };
    let one = params![selection.tenant.as_str(), id.as_uuid()];
    let found = row(connection, sql::GET, one, |row| JobRow::try_from(row))?;
    found.map(Job::try_from).transpose()
}
