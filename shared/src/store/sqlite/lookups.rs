//! The rows of jobs, by their ids.

use std::{sync::LazyLock, time::Duration};

use sqlx::Sqlite;
use uuid::Uuid;

use super::groups::GroupStatement;
use crate::store::{
    StoreError, deadline,
    lookups::Lookups,
    pool::Pool,
    rows::{JobRow, job_columns},
};

static FIND: LazyLock<GroupStatement> = LazyLock::new(|| {
    let before = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id IN (VALUES ");
    GroupStatement::new(before, 1, ")")
});

/// Reads jobs for all who ask at the same time; there must be a runtime.
pub(super) fn start(reader: Pool<Sqlite>, deadline: Duration) -> Lookups {
    Lookups::start(deadline, move |ids| {
        let reader = reader.clone();
        async move { deadline::within(deadline, "get", find(&reader, &ids)).await }
    })
}

async fn find(reader: &Pool<Sqlite>, ids: &[Uuid]) -> Result<Vec<JobRow>, StoreError> {
    let mut rows = Vec::with_capacity(ids.len());
    for (statement, piece) in FIND.pieces(ids) {
        let mut query = sqlx::query_as(statement);
        for id in piece {
            query = query.bind(id);
        }
        rows.extend(query.fetch_all(reader).await?);
    }
    Ok(rows)
}
