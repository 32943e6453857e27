//! How a worker takes jobs from Postgres: ordinary ones and, apart from them, suspects.

use async_trait::async_trait;
use sqlx::Postgres;
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    job::{ClaimedJob, JobId, KindName, LeaseId, QueueName},
    store::{
        StoreError, Suspect, SuspectStore, claimed,
        pool::Pool,
        rows::{ClaimedRow, claimed_columns},
        suspects::{Standing, SuspectRow, suspect_columns},
    },
    timestamp::Timestamp,
};

#[async_trait]
impl SuspectStore for PostgresStore {
    async fn suspects(
        &self,
        queues: &[QueueName],
        kinds: &[KindName],
        limit: u32,
    ) -> Result<Vec<Suspect>, StoreError> {
        let queues: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        let kinds: Vec<&str> = kinds.iter().map(KindName::as_str).collect();
        let (queues, kinds) = (&queues, &kinds);
        self.within("suspects", || async move {
            let rows: Vec<SuspectRow> = sqlx::query_as(concat!(
                "SELECT ",
                suspect_columns!(),
                " FROM jobs WHERE active AND crashes > 0 AND state = 'queued' \
                 AND queue = ANY($1) AND kind = ANY($2) ORDER BY queued_at LIMIT $3"
            ))
            .bind(queues)
            .bind(kinds)
            .bind(i64::from(limit))
            .fetch_all(&self.writer)
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

impl PostgresStore {
    /// Claims those of `ids` that have this standing.
    pub(super) async fn claim_with(
        &self,
        lease: LeaseId,
        ids: &[JobId],
        kinds: &[KindName],
        standing: Standing,
        now: Timestamp,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        // In one order everywhere, so that two claims of the same rows cannot deadlock.
        let mut ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
        ids.sort_unstable();
        ids.dedup();
        let kinds: Vec<&str> = kinds.iter().map(KindName::as_str).collect();
        let (ids, kinds) = (&ids, &kinds);
        let claim = || async move {
            let mut rows = claim_rows(&self.writer, lease, ids, kinds, standing, now).await?;
            if rows.len() < ids.len() {
                rows.extend(claimed_before(&self.writer, lease, ids, &rows, now).await?);
            }
            Ok(rows)
        };
        let rows = self.within("claim", claim).await?;
        claimed::jobs(self, rows, lease, now).await
    }
}

async fn claim_rows(
    pool: &Pool<Postgres>,
    lease: LeaseId,
    ids: &[Uuid],
    kinds: &[&str],
    standing: Standing,
    now: Timestamp,
) -> Result<Vec<ClaimedRow>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease = $1, started_at = $2, \
         progress = NULL \
         WHERE id = ANY($3) AND state = 'queued' AND kind = ANY($4) AND (crashes > 0) = $5 \
         AND (start_by IS NULL OR attempt > 0 OR start_by > $2) \
         AND (deadline_at IS NULL OR deadline_at > $2) \
         AND EXISTS (SELECT 1 FROM leases WHERE leases.id = $1 AND ends_at > now()) \
         RETURNING ",
        claimed_columns!()
    ))
    .bind(lease.as_uuid())
    .bind(now)
    .bind(ids)
    .bind(kinds)
    .bind(standing == Standing::Suspect)
    .fetch_all(pool)
    .await?)
}

/// What this very claim took before, its answer having been lost: no other has its lease and time.
async fn claimed_before(
    pool: &Pool<Postgres>,
    lease: LeaseId,
    ids: &[Uuid],
    claimed: &[ClaimedRow],
    now: Timestamp,
) -> Result<Vec<ClaimedRow>, StoreError> {
    let claimed: Vec<Uuid> = claimed.iter().map(|row| row.id).collect();
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        claimed_columns!(),
        " FROM jobs WHERE id = ANY($1) AND id <> ALL($2) AND state = 'running' \
         AND lease = $3 AND started_at = $4"
    ))
    .bind(ids)
    .bind(claimed)
    .bind(lease.as_uuid())
    .bind(now)
    .fetch_all(pool)
    .await?)
}
