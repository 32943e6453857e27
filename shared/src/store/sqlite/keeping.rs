//! What the keepers ask of SQLite.

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use super::{
    SqliteStore, clock_now, deletion, moves,
    statement::{execute, rows},
    uuids_as_json,
};
use crate::{
    job::JobId,
    queue::Hint,
    store::{
        KeeperStore, LEASES_ARE_KEPT_FOR, Rescued, SECOND_SWEEP_AFTER, StoreError,
        moves::{Locked, LockedRow, Moved, locked_columns},
        rows::all,
    },
    timestamp::Timestamp,
};

/// One writes at a time: none of them can be taken anew between being found and being deleted.
const DELETE_EXPIRED_KEYS: [&str; 2] = [
    "DELETE FROM idempotency_keys WHERE (tenant, key) IN \
     (SELECT tenant, key FROM idempotency_keys WHERE expires_at <= $1 LIMIT $2)",
    "DELETE FROM unique_keys WHERE (tenant, key) IN \
     (SELECT tenant, key FROM unique_keys WHERE held_until IS NOT NULL AND held_until <= $1 \
     LIMIT $2)",
];

#[async_trait]
impl KeeperStore for SqliteStore {
    async fn enqueue_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Hint>, StoreError> {
        self.write("enqueue_due", move |connection| {
            let due = rows(
                connection,
                concat!(
                    "SELECT ",
                    locked_columns!(),
                    " FROM jobs AS job WHERE job.due_at IS NOT NULL AND job.due_at <= $1 \
                     ORDER BY job.due_at LIMIT $2"
                ),
                &[&now, &limit],
                |row| LockedRow::try_from(row),
            )?;
            let moves = move_each(connection, due, |job| job.enqueue(now))?;
            Ok(moves.iter().map(Moved::hint).collect())
        })
        .await
    }

    async fn rescue(&self, now: Timestamp, limit: u32) -> Result<Rescued, StoreError> {
        self.write("rescue", move |connection| {
            let ended: Vec<Uuid> = rows(
                connection,
                "SELECT id FROM leases WHERE (sweeps = 0 AND ends_at <= $1) \
                 OR (sweeps = 1 AND ends_at <= $2)",
                &[&clock_now(), &clock_now().before(SECOND_SWEEP_AFTER)],
                |row| row.get(0),
            )?;
            if ended.is_empty() {
                return Ok(Rescued::default());
            }
            let ended = uuids_as_json(&ended);
            let lost = rows(
                connection,
                concat!(
                    "SELECT ",
                    locked_columns!(),
                    " FROM jobs AS job WHERE job.active AND job.state = 'running' \
                     AND job.lease IN (SELECT unhex(value) FROM json_each($1)) LIMIT $2"
                ),
                &[&ended, &limit],
                |row| LockedRow::try_from(row),
            )?;
            if lost.len() < limit as usize {
                execute(
                    connection,
                    "UPDATE leases SET sweeps = sweeps + 1 \
                     WHERE id IN (SELECT unhex(value) FROM json_each($1))",
                    &[&ended],
                )?;
            }
            let moves = move_each(connection, lost, |job| job.rescue(now))?;
            Ok(Rescued::from_moves(&moves))
        })
        .await
    }

    async fn fail_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<JobId>, StoreError> {
        self.write("fail_overdue", move |connection| {
            let overdue = rows(
                connection,
                concat!(
                    "SELECT ",
                    locked_columns!(),
                    " FROM jobs AS job WHERE job.active AND job.overdue_at IS NOT NULL \
                     AND job.overdue_at <= $1 AND job.state IN ('scheduled', 'queued') \
                     AND (job.deadline_at <= $1 OR (job.attempt = 0 AND job.start_by <= $1)) \
                     LIMIT $2"
                ),
                &[&now, &limit],
                |row| LockedRow::try_from(row),
            )?;
            let moves = move_each(connection, overdue, |job| job.fail_overdue(now))?;
            Ok(moves.iter().map(|moved| moved.id).collect())
        })
        .await
    }

    async fn delete_expired(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write("delete_expired", move |connection| {
            let expired: Vec<Uuid> = rows(
                connection,
                "SELECT id FROM jobs WHERE expires_at IS NOT NULL AND expires_at <= $1 LIMIT $2",
                &[&now, &limit],
                |row| row.get(0),
            )?;
            let jobs: Vec<JobId> = expired.into_iter().map(JobId::from_uuid).collect();
            deletion::delete(connection, &jobs)?;
            Ok(u64::try_from(jobs.len()).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn delete_expired_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write("delete_expired_keys", move |connection| {
            let mut deleted = 0;
            for statement in DELETE_EXPIRED_KEYS {
                deleted += execute(connection, statement, &[&now, &limit])?;
            }
            Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn delete_ended_leases(&self) -> Result<u64, StoreError> {
        self.write("delete_ended_leases", move |connection| {
            let deleted = execute(
                connection,
                "DELETE FROM leases WHERE ends_at < $1 AND NOT EXISTS \
                 (SELECT 1 FROM jobs WHERE active AND state = 'running' AND lease = leases.id)",
                &[&clock_now().before(LEASES_ARE_KEPT_FOR)],
            )?;
            Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
        })
        .await
    }
}

/// Moves the jobs whose rows the transaction has read, each as it is decided.
fn move_each(
    connection: &Connection,
    rows: Vec<LockedRow>,
    decide_one: impl Fn(&Locked) -> Option<Moved>,
) -> Result<Vec<Moved>, StoreError> {
    let locked: Vec<Locked> = all(rows)?;
    moves::move_each(connection, &locked, decide_one)
}
