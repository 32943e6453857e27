//! What the API asks of Postgres.

use async_trait::async_trait;

use super::{PostgresStore, inserts};
use crate::{
    job::{Inserted, JobId, NewJob, State, Tenant},
    queue::Hint,
    store::{CancelOutcome, CancelledJobs, DeleteOutcome, JobStore, RetryOutcome, StoreError, sql},
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
        self.within("cancel", || self.cancel_once(tenant, id, now))
            .await
    }

    async fn cancel_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<CancelledJobs, StoreError> {
        self.within("cancel_all", || {
            self.cancel_all_once(tenant, ids, states, now)
        })
        .await
    }

    async fn retry(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<RetryOutcome>, StoreError> {
        self.within("retry", || self.retry_once(tenant, id, now))
            .await
    }

    async fn retry_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<Vec<Hint>, StoreError> {
        self.within("retry_all", || {
            self.retry_all_once(tenant, ids, states, now)
        })
        .await
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        id: JobId,
    ) -> Result<Option<DeleteOutcome>, StoreError> {
        self.within("delete", || self.delete_once(tenant, id)).await
    }

    async fn delete_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
    ) -> Result<u64, StoreError> {
        self.within("delete_all", || self.delete_all_once(tenant, ids, states))
            .await
    }
}
