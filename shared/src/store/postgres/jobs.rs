//! What the API asks of Postgres.

use async_trait::async_trait;

use super::{PostgresStore, client_moves, deletion, inserts};
use crate::{
    job::{Inserted, JobId, NewJob, State, Tenant},
    queue::Hint,
    store::{
        CancelOutcome, CancelledJobs, DeleteOutcome, JobStore, RetryOutcome, StoreError,
        moves::{Moved, finished},
        selection::Selection,
        sql,
    },
    timestamp::Timestamp,
};

#[async_trait]
impl JobStore for PostgresStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.within("now", || async {
            Ok(sqlx::query_scalar("SELECT clock_timestamp()")
                .fetch_one(&self.writer)
                .await?)
        })
        .await
    }

    async fn insert(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>, StoreError> {
        let jobs = &jobs;
        self.within("insert", || inserts::insert(&self.writer, jobs))
            .await
    }

    async fn insert_all_or_none(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>, StoreError> {
        let jobs = &jobs;
        self.within("insert_all_or_none", || async move {
            let mut transaction = self.begin().await?;
            let outcomes = inserts::insert_keyed(&mut transaction, jobs).await?;
            if outcomes.iter().all(Inserted::is_stored) {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(outcomes)
        })
        .await
    }

    async fn set_replayed_status(
        &self,
        tenant: &Tenant,
        key: &str,
        status: u16,
    ) -> Result<(), StoreError> {
        self.within("set_replayed_status", || async move {
            sqlx::query(sql::SET_REPLAYED_STATUS)
                .bind(tenant.as_str())
                .bind(key)
                .bind(i32::from(status))
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn cancel(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<CancelOutcome>, StoreError> {
        let job = &Selection::one(tenant, id);
        self.within("cancel", || async move {
            let mut transaction = self.begin().await?;
            let moves =
                client_moves::move_each(&mut transaction, job, |job| job.cancel(now)).await?;
            let job = client_moves::first(&mut transaction, job).await?;
            transaction.commit().await?;
            Ok(job.map(|job| CancelOutcome::of(!moves.is_empty(), job)))
        })
        .await
    }

    async fn cancel_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<CancelledJobs, StoreError> {
        let jobs = &Selection::of(tenant, ids, states);
        self.within("cancel_all", || async move {
            let mut transaction = self.begin().await?;
            let moves =
                client_moves::move_each(&mut transaction, jobs, |job| job.cancel(now)).await?;
            transaction.commit().await?;
            Ok(CancelledJobs::from_moves(&moves))
        })
        .await
    }

    async fn retry(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<RetryOutcome>, StoreError> {
        let job = &Selection::one(tenant, id);
        self.within("retry", || async move {
            let mut transaction = self.begin().await?;
            let moves =
                client_moves::move_each(&mut transaction, job, |job| job.retry(now)).await?;
            let job = client_moves::first(&mut transaction, job).await?;
            transaction.commit().await?;
            Ok(job.map(|job| RetryOutcome::of(!moves.is_empty(), job)))
        })
        .await
    }

    async fn retry_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<Vec<Hint>, StoreError> {
        let jobs = &Selection::of(tenant, ids, states);
        self.within("retry_all", || async move {
            let mut transaction = self.begin().await?;
            let moves =
                client_moves::move_each(&mut transaction, jobs, |job| job.retry(now)).await?;
            transaction.commit().await?;
            Ok(moves.iter().map(Moved::hint).collect())
        })
        .await
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        id: JobId,
    ) -> Result<Option<DeleteOutcome>, StoreError> {
        let job = &Selection::one(tenant, id);
        self.within("delete", || async move {
            let mut transaction = self.begin().await?;
            let finished = finished(&client_moves::lock(&mut transaction, job).await?);
            deletion::delete(&mut transaction, &finished).await?;
            let left = client_moves::first(&mut transaction, job).await?;
            transaction.commit().await?;
            Ok(DeleteOutcome::of(!finished.is_empty(), left))
        })
        .await
    }

    async fn delete_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
    ) -> Result<u64, StoreError> {
        let jobs = &Selection::of(tenant, ids, states);
        self.within("delete_all", || async move {
            let mut transaction = self.begin().await?;
            let finished = finished(&client_moves::lock(&mut transaction, jobs).await?);
            deletion::delete(&mut transaction, &finished).await?;
            transaction.commit().await?;
            Ok(u64::try_from(finished.len()).unwrap_or(u64::MAX))
        })
        .await
    }
}
