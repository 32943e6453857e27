//! What the API asks of SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{SqliteStore, client_moves, clock_now, deletion, inserts, statement::execute};
use crate::{
    job::{Inserted, JobId, NewJob, State, Tenant},
    queue::Hint,
    store::{
        CancelOutcome, CancelledJobs, DeleteOutcome, FirstClaim, FirstClaimed, JobStore,
        RetryOutcome, StoreError,
        moves::{Moved, finished},
        selection::Selection,
        sql,
    },
    timestamp::Timestamp,
};

#[async_trait]
impl JobStore for SqliteStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.within("now", || async {
            // Nothing to ask but whether the file answers.
            sqlx::query("SELECT 1 FROM queues LIMIT 1")
                .fetch_optional(&self.reader)
                .await?;
            Ok(clock_now())
        })
        .await
    }

    async fn insert(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>, StoreError> {
        let write = move |connection: &Connection| inserts::insert(connection, &jobs, None);
        Ok(self.write("insert", write).await?.inserted)
    }

    async fn insert_and_claim(
        &self,
        jobs: Vec<NewJob>,
        claim: FirstClaim,
    ) -> Result<FirstClaimed, StoreError> {
        let write = move |connection: &Connection| inserts::insert(connection, &jobs, Some(&claim));
        self.write("insert_and_claim", write).await
    }

    async fn insert_all_or_none(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>, StoreError> {
        self.write("insert_all_or_none", move |connection| {
            // What shares its commit stays where none of these do.
            execute(connection, "SAVEPOINT all_or_none", &[])?;
            let outcomes = inserts::insert(connection, &jobs, None)?.inserted;
            if !outcomes.iter().all(Inserted::is_stored) {
                execute(connection, "ROLLBACK TO all_or_none", &[])?;
            }
            execute(connection, "RELEASE all_or_none", &[])?;
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
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.write("set_replayed_status", move |connection| {
            let replayed = params![tenant.as_str(), key, i32::from(status)];
            execute(connection, sql::SET_REPLAYED_STATUS, replayed)?;
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
        let job = Selection::one(tenant, id);
        self.write("cancel", move |connection| {
            let moves = client_moves::move_each(connection, &job, |job| job.cancel(now))?;
            let job = client_moves::first(connection, &job)?;
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
        let jobs = Selection::of(tenant, ids, states);
        self.write("cancel_all", move |connection| {
            let moves = client_moves::move_each(connection, &jobs, |job| job.cancel(now))?;
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
        let job = Selection::one(tenant, id);
        self.write("retry", move |connection| {
            let moves = client_moves::move_each(connection, &job, |job| job.retry(now))?;
            let job = client_moves::first(connection, &job)?;
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
        let jobs = Selection::of(tenant, ids, states);
        self.write("retry_all", move |connection| {
            let moves = client_moves::move_each(connection, &jobs, |job| job.retry(now))?;
            Ok(moves.iter().map(Moved::hint).collect())
        })
        .await
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        id: JobId,
    ) -> Result<Option<DeleteOutcome>, StoreError> {
        let job = Selection::one(tenant, id);
        self.write("delete", move |connection| {
            let finished = finished(&client_moves::find(connection, &job)?);
            deletion::delete(connection, &finished)?;
            let left = client_moves::first(connection, &job)?;
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
        let jobs = Selection::of(tenant, ids, states);
        self.write("delete_all", move |connection| {
            let finished = finished(&client_moves::find(connection, &jobs)?);
            deletion::delete(connection, &finished)?;
            Ok(u64::try_from(finished.len()).unwrap_or(u64::MAX))
        })
        .await
    }
}
