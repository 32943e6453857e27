//! The census in Postgres, which all processes share through a table.

use async_trait::async_trait;

use super::{PostgresStore, transaction::Transaction};
use crate::{
    job::Tenant,
    store::{
        StoreError,
        census::{
            Census, CensusStore, GroupRow, LONGEST_COUNT, LONGEST_PAUSE, MOST_GROUPS, PAUSE,
            SHORTEST_PAUSE, count_of_groups,
        },
        deadline,
        rows::all,
    },
    timestamp::Timestamp,
};

/// What was counted is counted again soon: nobody waits for the disk.
const PREPARE: &str = "SELECT set_config('synchronous_commit', 'off', true)";

/// Whoever counts holds the row until its end; the others pass by.
const TAKE_TURN: &str =
    "SELECT true FROM census WHERE due_at <= clock_timestamp() FOR UPDATE SKIP LOCKED";

const COUNT: &str = concat!(
    "INSERT INTO census_groups (tenant, queue, kind, scheduled, queued, running, \
     oldest_queued_at, counted_at) SELECT counted.*, now() FROM (",
    count_of_groups!("jobs"),
    ") AS counted ON CONFLICT (tenant, queue, kind) DO UPDATE SET \
     scheduled = excluded.scheduled, queued = excluded.queued, running = excluded.running, \
     oldest_queued_at = excluded.oldest_queued_at, counted_at = excluded.counted_at"
);

const FORGET_EMPTY: &str = "DELETE FROM census_groups WHERE counted_at < now()";

const END_TURN: &str = "UPDATE census SET taken_at = now(), due_at = clock_timestamp() + \
     least(greatest((clock_timestamp() - now()) * $1, make_interval(secs => $2)), \
     make_interval(secs => $3))";

const READ: &str = "SELECT tenant, queue, kind, scheduled, queued, running, oldest_queued_at \
     FROM census_groups WHERE $1::text IS NULL OR tenant = $1";

#[async_trait]
impl CensusStore for PostgresStore {
    async fn take_census(&self) -> Result<(), StoreError> {
        let turn = self.within("census_turn", || self.take_turn()).await?;
        let Some(transaction) = turn else {
            return Ok(());
        };
        deadline::within(LONGEST_COUNT, "take_census", count(transaction)).await
    }

    async fn census(&self, tenant: Option<&Tenant>) -> Result<Census, StoreError> {
        self.within("census", || async move {
            let taken_at: Option<Option<Timestamp>> =
                sqlx::query_scalar("SELECT taken_at FROM census")
                    .fetch_optional(&self.reader)
                    .await?;
            let rows: Vec<GroupRow> = sqlx::query_as(READ)
                .bind(tenant.map(Tenant::as_str))
                .fetch_all(&self.reader)
                .await?;
            Ok(Census {
                taken_at: taken_at.flatten(),
                groups: all(rows)?,
            })
        })
        .await
    }
}

impl PostgresStore {
    /// Where it is time to count, a transaction in which nobody else does and that may take long.
    ///
    /// Asked within the deadline of any question, as [`super::keeping`] asks.
    async fn take_turn(&self) -> Result<Option<Transaction>, StoreError> {
        let mut transaction = self.begin().await?;
        let turn: Option<bool> = sqlx::query_scalar(TAKE_TURN)
            .fetch_optional(&mut *transaction)
            .await?;
        if turn.is_none() {
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.may_take(LONGEST_COUNT).await?;
        Ok(Some(transaction))
    }
}

async fn count(mut transaction: Transaction) -> Result<(), StoreError> {
    sqlx::query(PREPARE).execute(&mut *transaction).await?;
    sqlx::query(COUNT)
        .bind(MOST_GROUPS)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(FORGET_EMPTY).execute(&mut *transaction).await?;
    sqlx::query(END_TURN)
        .bind(f64::from(PAUSE))
        .bind(SHORTEST_PAUSE.as_secs_f64())
        .bind(LONGEST_PAUSE.as_secs_f64())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}
