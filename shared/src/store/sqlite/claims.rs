//! How a worker takes jobs from SQLite: ordinary ones and, apart from them, suspects.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteStore, chunks, clock_now, ids_as_json, uuids_as_json};
use crate::{
    job::{ClaimedJob, JobId, KindName, LeaseId, QueueName},
    store::{
        StoreError, Suspect, SuspectStore,
        rows::{ClaimedRow, claimed_columns, to_json},
        suspects::{Standing, SuspectRow, suspect_columns},
    },
    timestamp::Timestamp,
};

#[async_trait]
impl SuspectStore for SqliteStore {
    async fn suspects(
        &self,
        queues: &[QueueName],
        kinds: &[KindName],
        limit: u32,
    ) -> Result<Vec<Suspect>, StoreError> {
        let queues = to_json("queue", &queues)?;
        let kinds = to_json("kind", &kinds)?;
        let (queues, kinds) = (&queues, &kinds);
        self.within("suspects", || async move {
            let rows: Vec<SuspectRow> = sqlx::query_as(concat!(
                "SELECT ",
                suspect_columns!(),
                " FROM jobs WHERE active AND crashes > 0 AND state = 'queued' \
                 AND queue IN (SELECT value FROM json_each($1)) \
                 AND kind IN (SELECT value FROM json_each($2)) ORDER BY queued_at LIMIT $3"
            ))
            .bind(queues)
            .bind(kinds)
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
            Ok(rows.into_iter().map(Suspect::from).collect())
        })
        .await
    }

    async fn claim_suspects(
        &self,
        lease: LeaseId,
        ids: &[JobId],
        kinds: &[KindName],
        now: Timestamp,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        self.claim_with(lease, ids, kinds, Standing::Suspect, now)
            .await
    }
}

impl SqliteStore {
    /// Claims those of `ids` that have this standing.
    pub(super) async fn claim_with(
        &self,
        lease: LeaseId,
        ids: &[JobId],
        kinds: &[KindName],
        standing: Standing,
        now: Timestamp,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let kinds = to_json("kind", &kinds)?;
        let (ids, kinds) = (&ids_as_json(ids), &kinds);
        self.within("claim", || async move {
            let mut transaction = self.begin().await?;
            let mut rows: Vec<ClaimedRow> = sqlx::query_as(concat!(
                "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease = $1, \
                 started_at = $2, progress = NULL \
                 WHERE id IN (SELECT unhex(value) FROM json_each($3)) AND state = 'queued' \
                 AND kind IN (SELECT value FROM json_each($4)) AND (crashes > 0) = $6 \
                 AND (start_by IS NULL OR attempt > 0 OR start_by > $2) \
                 AND (deadline_at IS NULL OR deadline_at > $2) \
                 AND EXISTS (SELECT 1 FROM leases WHERE leases.id = $1 AND ends_at > $5) \
                 RETURNING ",
                claimed_columns!()
            ))
            .bind(lease.as_uuid())
            .bind(now)
            .bind(ids)
            .bind(kinds)
            .bind(clock_now())
            .bind(standing == Standing::Suspect)
            .fetch_all(&mut *transaction)
            .await?;
            let claimed = uuids_as_json(rows.iter().map(|row| &row.id));
            rows.extend(claimed_before(&mut transaction, lease, ids, &claimed, now).await?);
            transaction.commit().await?;
            let mut jobs = Vec::with_capacity(rows.len());
            for mut row in rows {
                if row.payload.is_none() {
                    let id = JobId::from_uuid(row.id);
                    row.payload = Some(chunks::read(&self.reader, id, 0).await?);
                }
                jobs.push(row.into_job(lease)?);
            }
            Ok(jobs)
        })
        .await
    }
}

/// What this very claim took before, its answer having been lost: no other has its lease and time.
async fn claimed_before(
    connection: &mut SqliteConnection,
    lease: LeaseId,
    ids: &str,
    claimed: &str,
    now: Timestamp,
) -> Result<Vec<ClaimedRow>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        claimed_columns!(),
        " FROM jobs WHERE id IN (SELECT unhex(value) FROM json_each($1)) \
         AND id NOT IN (SELECT unhex(value) FROM json_each($2)) AND state = 'running' \
         AND lease = $3 AND started_at = $4"
    ))
    .bind(ids)
    .bind(claimed)
    .bind(lease.as_uuid())
    .bind(now)
    .fetch_all(connection)
    .await?)
}
