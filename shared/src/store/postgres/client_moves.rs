//! The cold moves that a client asks for: cancel, retry, delete, of one job and of many.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{PostgresStore, deletion, moves};
use crate::{
    job::{Job, JobId, State, Tenant},
    queue::Hint,
    store::{
        CancelOutcome, CancelledJobs, DeleteOutcome, RetryOutcome, StoreError,
        moves::{Locked, LockedRow, Moved, decide, finished, locked_columns},
        rows::{JobRow, all},
        sql,
    },
    timestamp::Timestamp,
};

impl PostgresStore {
    pub(super) async fn cancel_once(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<CancelOutcome>, StoreError> {
        let mut transaction = self.begin().await?;
        let locked = lock(&mut transaction, tenant, &[id]).await?;
        let moves = decide(&locked, |job| job.cancel(now));
        moves::write(&mut transaction, &moves).await?;
        let job = read(&mut transaction, tenant, id).await?;
        transaction.commit().await?;
        Ok(job.map(|job| CancelOutcome::of(!moves.is_empty(), job)))
    }

    pub(super) async fn cancel_all_once(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<CancelledJobs, StoreError> {
        let mut transaction = self.begin().await?;
        let locked = lock_in(&mut transaction, tenant, ids, states).await?;
        let moves = decide(&locked, |job| job.cancel(now));
        moves::write(&mut transaction, &moves).await?;
        transaction.commit().await?;
        Ok(CancelledJobs::from_moves(&moves))
    }

    pub(super) async fn retry_once(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<RetryOutcome>, StoreError> {
        let mut transaction = self.begin().await?;
        let locked = lock(&mut transaction, tenant, &[id]).await?;
        let moves = decide(&locked, |job| job.retry(now));
        moves::write(&mut transaction, &moves).await?;
        let job = read(&mut transaction, tenant, id).await?;
        transaction.commit().await?;
        Ok(job.map(|job| RetryOutcome::of(!moves.is_empty(), job)))
    }

    pub(super) async fn retry_all_once(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<Vec<Hint>, StoreError> {
        let mut transaction = self.begin().await?;
        let locked = lock_in(&mut transaction, tenant, ids, states).await?;
        let moves = decide(&locked, |job| job.retry(now));
        moves::write(&mut transaction, &moves).await?;
        transaction.commit().await?;
        Ok(moves.iter().map(Moved::hint).collect())
    }

    pub(super) async fn delete_once(
        &self,
        tenant: &Tenant,
        id: JobId,
    ) -> Result<Option<DeleteOutcome>, StoreError> {
        let mut transaction = self.begin().await?;
        let locked = lock(&mut transaction, tenant, &[id]).await?;
        let finished = finished(&locked);
        deletion::delete(&mut transaction, &finished).await?;
        let left = read(&mut transaction, tenant, id).await?;
        transaction.commit().await?;
        Ok(DeleteOutcome::of(!finished.is_empty(), left))
    }

    pub(super) async fn delete_all_once(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
    ) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let locked = lock_in(&mut transaction, tenant, ids, states).await?;
        let finished = finished(&locked);
        deletion::delete(&mut transaction, &finished).await?;
        transaction.commit().await?;
        Ok(u64::try_from(finished.len()).unwrap_or(u64::MAX))
    }
}

/// Those of a tenant's jobs that are there, locked in one order everywhere.
async fn lock(
    connection: &mut PgConnection,
    tenant: &Tenant,
    ids: &[JobId],
) -> Result<Vec<Locked>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
    let rows: Vec<LockedRow> = sqlx::query_as(concat!(
        "SELECT ",
        locked_columns!(),
        " FROM jobs AS job WHERE job.tenant = $1 AND job.id = ANY($2) \
         ORDER BY job.id FOR UPDATE OF job"
    ))
    .bind(tenant.as_str())
    .bind(ids)
    .fetch_all(connection)
    .await?;
    all(rows)
}

/// Those of them that are in one of these states, now that nothing can move them.
async fn lock_in(
    connection: &mut PgConnection,
    tenant: &Tenant,
    ids: &[JobId],
    states: &[State],
) -> Result<Vec<Locked>, StoreError> {
    let mut locked = lock(connection, tenant, ids).await?;
    locked.retain(|job| states.contains(&job.lifecycle.state));
    Ok(locked)
}

async fn read(
    connection: &mut PgConnection,
    tenant: &Tenant,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    let row: Option<JobRow> = sqlx::query_as(sql::GET)
        .bind(tenant.as_str())
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await?;
    row.map(Job::try_from).transpose()
}
