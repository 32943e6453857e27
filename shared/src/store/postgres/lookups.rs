//! The rows of jobs, by their ids.

use std::time::Duration;

use sqlx::Postgres;
use uuid::Uuid;

use super::asking;
use crate::store::{
    StoreError,
    lookups::Lookups,
    pool::Pool,
    rows::{JobRow, job_columns},
};

/// Reads jobs for all who ask at the same time; there must be a runtime.
pub(super) fn start(pool: Pool<Postgres>, deadline: Duration) -> Lookups {
    Lookups::start(deadline, move |ids| {
        let pool = pool.clone();
        async move { asking::within(deadline, "get", || find(&pool, &ids)).await }
    })
}

async fn find(pool: &Pool<Postgres>, ids: &[Uuid]) -> Result<Vec<JobRow>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id = ANY($1)"
    ))
    .bind(ids)
    .fetch_all(pool)
    .await?)
}
