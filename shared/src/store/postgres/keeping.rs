//! What the keepers ask of Postgres.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{PostgresStore, deletion, moves, transaction::Transaction};
use crate::{
    job::JobId,
    queue::Hint,
    store::{
        KeeperStore, LEASES_ARE_KEPT_FOR, Rescued, SECOND_SWEEP_AFTER, StoreError, deadline,
        moves::{Locked, LockedRow, Moved, decide, locked_columns},
        rows::all,
    },
    timestamp::Timestamp,
};

/// How long one look for the jobs of dead workers may take. It goes through all that are not finished,
/// for no index could name the lease without each claim changing it: half a second for a million.
const LONGEST_SWEEP: Duration = Duration::from_secs(30);

/// Locked as they are found: a key that is being taken anew is passed by, and none can be until it is
/// gone.
const DELETE_EXPIRED_KEYS: [&str; 2] = [
    "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency_keys \
     WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM unique_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM unique_keys \
     WHERE held_until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
];

/// Which leases have ended, by the database's clock, and are to be looked through: once, and once more
/// so many seconds after.
macro_rules! to_be_swept {
    () => {
        "(sweeps = 0 AND ends_at <= now()) \
         OR (sweeps = 1 AND ends_at <= now() - make_interval(secs => $1))"
    };
}

#[async_trait]
impl KeeperStore for PostgresStore {
    async fn enqueue_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Hint>, StoreError> {
        self.within("enqueue_due", || async move {
            let mut transaction = self.begin().await?;
            let rows = sqlx::query_as(concat!(
                "SELECT ",
                locked_columns!(),
                " FROM jobs AS job WHERE job.due_at <= $1 AND job.state = 'scheduled' \
                 ORDER BY job.due_at LIMIT $2 FOR UPDATE OF job SKIP LOCKED"
            ))
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(&mut *transaction)
            .await?;
            let moves = write(transaction, rows, |job| job.enqueue(now)).await?;
            Ok(moves.iter().map(Moved::hint).collect())
        })
        .await
    }

    async fn rescue(&self, now: Timestamp, limit: u32) -> Result<Rescued, StoreError> {
        let Some((transaction, ended)) =
            self.within("ended_leases", || self.ended_leases()).await?
        else {
            return Ok(Rescued::default());
        };
        // Not asked again where its connection turns out to be dead: the next sweep does.
        deadline::within(
            LONGEST_SWEEP,
            "rescue",
            sweep(transaction, &ended, now, limit),
        )
        .await
    }

    async fn fail_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<JobId>, StoreError> {
        self.within("fail_overdue", || async move {
            let mut transaction = self.begin().await?;
            let rows = sqlx::query_as(concat!(
                "SELECT ",
                locked_columns!(),
                " FROM jobs AS job WHERE job.active AND job.overdue_at <= $1 \
                 AND job.state IN ('scheduled', 'queued') \
                 AND (job.deadline_at <= $1 OR (job.attempt = 0 AND job.start_by <= $1)) \
                 LIMIT $2 FOR UPDATE OF job SKIP LOCKED"
            ))
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(&mut *transaction)
            .await?;
            let moves = write(transaction, rows, |job| job.fail_overdue(now)).await?;
            Ok(moves.iter().map(|moved| moved.id).collect())
        })
        .await
    }

    async fn delete_expired(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.within("delete_expired", || async move {
            let mut transaction = self.begin().await?;
            let expired: Vec<Uuid> = sqlx::query_scalar(
                "SELECT id FROM jobs WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED",
            )
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(&mut *transaction)
            .await?;
            let jobs: Vec<JobId> = expired.into_iter().map(JobId::from_uuid).collect();
            deletion::delete(&mut transaction, &jobs).await?;
            transaction.commit().await?;
            Ok(u64::try_from(jobs.len()).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn delete_expired_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.within("delete_expired_keys", || async move {
            let mut deleted = 0;
            for statement in DELETE_EXPIRED_KEYS {
                let done = sqlx::query(statement)
                    .bind(now)
                    .bind(i64::from(limit))
                    .execute(&self.writer)
                    .await?;
                deleted += done.rows_affected();
            }
            Ok(deleted)
        })
        .await
    }

    async fn delete_ended_leases(&self) -> Result<u64, StoreError> {
        self.within("delete_ended_leases", || async {
            let deleted = sqlx::query(
                "DELETE FROM leases WHERE ends_at < now() - make_interval(secs => $1) \
                 AND NOT EXISTS (SELECT 1 FROM jobs WHERE active AND state = 'running' \
                 AND lease = leases.id)",
            )
            .bind(LEASES_ARE_KEPT_FOR.as_secs_f64())
            .execute(&self.writer)
            .await?;
            Ok(deleted.rows_affected())
        })
        .await
    }
}

impl PostgresStore {
    /// The leases whose jobs are to be looked for, and a transaction that may take long over it.
    ///
    /// Asked within the deadline of any question: the look itself has another, and would wait for all
    /// of that over a connection which is dead.
    async fn ended_leases(&self) -> Result<Option<(Transaction, Vec<Uuid>)>, StoreError> {
        let mut transaction = self.begin().await?;
        let ended: Vec<Uuid> =
            sqlx::query_scalar(concat!("SELECT id FROM leases WHERE ", to_be_swept!()))
                .bind(SECOND_SWEEP_AFTER.as_secs_f64())
                .fetch_all(&mut *transaction)
                .await?;
        if ended.is_empty() {
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.may_take(LONGEST_SWEEP).await?;
        Ok(Some((transaction, ended)))
    }
}

/// Takes jobs back from these leases, which have ended.
async fn sweep(
    mut transaction: Transaction,
    ended: &[Uuid],
    now: Timestamp,
    limit: u32,
) -> Result<Rescued, StoreError> {
    // An ended lease never comes back, so what is found here stays true. The order is that of the
    // ids, but of their text, which no index has: theirs would be walked through for it.
    let rows: Vec<LockedRow> = sqlx::query_as(concat!(
        "SELECT ",
        locked_columns!(),
        " FROM jobs AS job WHERE job.active AND job.state = 'running' \
         AND job.lease = ANY($1) ORDER BY job.id::text COLLATE \"C\" LIMIT $2 \
         FOR UPDATE OF job"
    ))
    .bind(ended)
    .bind(i64::from(limit))
    .fetch_all(&mut *transaction)
    .await?;
    if rows.len() < limit as usize {
        // Another process may have swept them meanwhile: that was one look, not two.
        sqlx::query(concat!(
            "UPDATE leases SET sweeps = sweeps + 1 WHERE id = ANY($2) AND (",
            to_be_swept!(),
            ")"
        ))
        .bind(SECOND_SWEEP_AFTER.as_secs_f64())
        .bind(ended)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(Rescued::from_moves(
        &write(transaction, rows, |job| job.rescue(now)).await?,
    ))
}

/// Decides and writes the moves of rows that the transaction has locked, and commits.
async fn write(
    mut transaction: Transaction,
    rows: Vec<LockedRow>,
    decide_one: impl Fn(&Locked) -> Option<Moved> + Send,
) -> Result<Vec<Moved>, StoreError> {
    let locked: Vec<Locked> = all(rows)?;
    let moves = decide(&locked, decide_one);
    moves::write(&mut transaction, &moves).await?;
    transaction.commit().await?;
    Ok(moves)
}
