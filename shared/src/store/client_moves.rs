//! The cold moves that a client asks for, in both dialects: cancel, retry, delete, of one job and
//! of many.

/// Defines them for a database. `$of_tenant` ends the statement that locks a tenant's jobs with
/// the ids of `$2`, `ids` gives that parameter, and `delete` forgets jobs with all that is theirs.
macro_rules! define_client_moves {
    ($store:ty, $database:ty, of_tenant: $of_tenant:literal) => {
        use sqlx::Database;

        use super::moves;
        use $crate::{
            job::{Job, JobId, State, Tenant},
            queue::Hint,
            store::{
                CancelOutcome, CancelledJobs, DeleteOutcome, RetryOutcome, StoreError,
                moves::{Locked, LockedRow, Moved, locked_columns},
                rows::{JobRow, all},
                sql,
            },
            timestamp::Timestamp,
        };

        type Connection = <$database as Database>::Connection;

        impl $store {
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
                let (requested, cancelled): (Vec<_>, Vec<_>) = moves
                    .iter()
                    .partition(|moved| moved.state() == State::Running);
                Ok(CancelledJobs {
                    cancelled: cancelled.into_iter().map(|moved| moved.id).collect(),
                    requested: requested.into_iter().map(|moved| moved.id).collect(),
                })
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
                Ok(job.map(|job| match moves.is_empty() {
                    true => RetryOutcome::Refused(job),
                    false => RetryOutcome::Requeued(job),
                }))
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
                Ok(match left {
                    Some(job) => Some(DeleteOutcome::Active(job)),
                    None if finished.is_empty() => None,
                    None => Some(DeleteOutcome::Deleted),
                })
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
            connection: &mut Connection,
            tenant: &Tenant,
            ids: &[JobId],
        ) -> Result<Vec<Locked>, StoreError> {
            let rows: Vec<LockedRow> = sqlx::query_as(concat!(
                "SELECT ",
                locked_columns!(),
                " FROM jobs AS job WHERE job.tenant = $1 AND job.id ",
                $of_tenant
            ))
            .bind(tenant.as_str())
            .bind(list_of(ids))
            .fetch_all(connection)
            .await?;
            all(rows)
        }

        /// Those of them that are in one of these states, now that nothing can move them.
        async fn lock_in(
            connection: &mut Connection,
            tenant: &Tenant,
            ids: &[JobId],
            states: &[State],
        ) -> Result<Vec<Locked>, StoreError> {
            let mut locked = lock(connection, tenant, ids).await?;
            locked.retain(|job| states.contains(&job.lifecycle.state));
            Ok(locked)
        }

        async fn read(
            connection: &mut Connection,
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

        fn decide(locked: &[Locked], make: impl Fn(&Locked) -> Option<Moved>) -> Vec<Moved> {
            locked.iter().filter_map(make).collect()
        }

        fn finished(locked: &[Locked]) -> Vec<JobId> {
            let finished = locked
                .iter()
                .filter(|job| job.lifecycle.state.is_terminal());
            finished.map(|job| job.id).collect()
        }
    };
}
pub(super) use define_client_moves;
