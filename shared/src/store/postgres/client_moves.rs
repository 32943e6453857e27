//! The cold moves that a client asks for.

use sqlx::PgConnection;
use uuid::Uuid;

use super::moves;
use crate::{
    job::Job,
    store::{
        StoreError,
        moves::{Locked, LockedRow, Moved, decide, locked_columns},
        rows::JobRow,
        selection::Selection,
        sql,
    },
};

/// Those that are there, locked in one order everywhere.
pub(super) async fn lock(
    connection: &mut PgConnection,
    selection: &Selection,
) -> Result<Vec<Locked>, StoreError> {
    let ids: Vec<Uuid> = selection.ids.iter().map(|id| *id.as_uuid()).collect();
    // The tenant is no column here, so that no plan goes by the index of tenants: where Postgres takes
    // each of them to have few jobs, it would read all of theirs.
    let rows: Vec<LockedRow> = sqlx::query_as(concat!(
        "SELECT ",
        locked_columns!(),
        " FROM jobs AS job WHERE job.id = ANY($2) AND job.tenant || '' = $1 \
         ORDER BY job.id FOR UPDATE OF job"
    ))
    .bind(selection.tenant.as_str())
    .bind(ids)
    .fetch_all(connection)
    .await?;
    selection.among(rows)
}

/// Moves them, each as it is decided.
pub(super) async fn move_each(
    connection: &mut PgConnection,
    selection: &Selection,
    decide_one: impl Fn(&Locked) -> Option<Moved> + Send,
) -> Result<Vec<Moved>, StoreError> {
    let moves = decide(&lock(connection, selection).await?, decide_one);
    moves::write(connection, &moves).await?;
    Ok(moves)
}

/// The first of them, as it is now.
pub(super) async fn first(
    connection: &mut PgConnection,
    selection: &Selection,
) -> Result<Option<Job>, StoreError> {
    let Some(id) = selection.ids.first() else {
        return Ok(None);
    };
    let row: Option<JobRow> = sqlx::query_as(sql::GET)
        .bind(selection.tenant.as_str())
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await?;
    row.map(Job::try_from).transpose()
}
