//! The rows of jobs, by their ids.

use sqlx::PgPool;
use uuid::Uuid;

use super::asking::Asking;
use crate::store::{
    StoreError,
    lookups::Lookups,
    rows::{JobRow, job_columns},
};

/// Reads jobs for all who ask at the same time; there must be a runtime.
pub(super) fn start(pool: PgPool, asking: Asking) -> Lookups {
    Lookups::start(asking.deadline, move |ids| {
        let (pool, asking) = (pool.clone(), asking.clone());
        async move { asking.within("get", || find(&pool, &ids)).await }
    })
}

async fn find(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<JobRow>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id = ANY($1)"
    ))
    .bind(ids)
    .fetch_all(pool)
    .await?)
}
