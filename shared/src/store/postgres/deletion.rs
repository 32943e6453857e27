//! Forgetting jobs.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{job::JobId, store::StoreError};

/// Forgets jobs that this transaction has locked, with all that belongs to them.
pub(super) async fn delete(
    connection: &mut PgConnection,
    jobs: &[JobId],
) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = jobs.iter().map(|id| *id.as_uuid()).collect();
    sqlx::query(
        "WITH of_attempts AS (DELETE FROM attempts WHERE job_id = ANY($1)), \
         of_chunks AS (DELETE FROM chunks WHERE job_id = ANY($1)), \
         of_logs AS (DELETE FROM logs WHERE job_id = ANY($1)), \
         of_unique_keys AS \
         (DELETE FROM unique_keys WHERE job_id = ANY($1) AND held_until IS NULL) \
         DELETE FROM jobs WHERE id = ANY($1)",
    )
    .bind(ids)
    .execute(connection)
    .await?;
    Ok(())
}
