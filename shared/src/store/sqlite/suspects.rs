//! Suspects in SQLite, and the one way to claim them and all others.

use async_trait::async_trait;
use rusqlite::Connection;

use super::{
    SqliteStore,
    claims::{self, Claim},
};
use crate::{
    job::{ClaimedJob, JobId, KindName, LeaseId, QueueName},
    store::{
        StoreError, Suspect, SuspectStore, claimed,
        rows::to_json,
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
        let kinds: Vec<&KindName> = kinds.iter().collect();
        let claim = Claim::of(lease, ids.iter(), &kinds, standing, now)?;
        let write = move |connection: &Connection| claims::claim(connection, &claim);
        let rows = self.write("claim", write).await?;
        claimed::jobs(self, rows, lease, now).await
    }
}
