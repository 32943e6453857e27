//! What the worker asks of SQLite for the jobs it runs.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use super::{SqliteStore, chunks, clock_now, finishes, ids_as_json, statement::execute};
use crate::{
    job::{ClaimedJob, JobId, KindName, LeaseId, Priority, QueueName},
    queue::Hint,
    store::{
        Finish, FinishOutcome, LogLine, ProgressReport, ResultChunk, RunStore, StoreError,
        rows::{HintRow, all, to_integer, to_json},
        suspects::Standing,
    },
    timestamp::Timestamp,
};

#[async_trait]
impl RunStore for SqliteStore {
    async fn open_lease(
        &self,
        lease: LeaseId,
        worker: &str,
        duration: Duration,
    ) -> Result<(), StoreError> {
        let worker = worker.to_owned();
        self.write("open_lease", move |connection| {
            execute(
                connection,
                "INSERT INTO leases (id, worker, ends_at) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
                &[lease.as_uuid(), &worker, &clock_now().after(duration)],
            )?;
            Ok(())
        })
        .await
    }

    async fn renew_lease(&self, lease: LeaseId, duration: Duration) -> Result<bool, StoreError> {
        self.write("renew_lease", move |connection| {
            let now = clock_now();
            let renewed = execute(
                connection,
                "UPDATE leases SET ends_at = $2 WHERE id = $1 AND ends_at > $3",
                &[lease.as_uuid(), &now.after(duration), &now],
            )?;
            Ok(renewed > 0)
        })
        .await
    }

    async fn close_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.write("close_lease", move |connection| {
            execute(
                connection,
                "UPDATE leases SET ends_at = min(ends_at, $2) WHERE id = $1",
                &[lease.as_uuid(), &clock_now()],
            )?;
            Ok(())
        })
        .await
    }

    async fn claim(
        &self,
        lease: LeaseId,
        ids: &[JobId],
        kinds: &[KindName],
        now: Timestamp,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        self.claim_with(lease, ids, kinds, Standing::Clear, now)
            .await
    }

    async fn oldest_queued(
        &self,
        queues: &[QueueName],
        kinds: &[KindName],
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let kinds = &to_json("kind", &kinds)?;
        self.within("oldest_queued", || async move {
            let mut ids = Vec::new();
            for priority in Priority::ALL {
                for queue in queues {
                    let left = i64::from(limit) - i64::try_from(ids.len()).unwrap_or(i64::MAX);
                    if left <= 0 {
                        return Ok(ids);
                    }
                    let lane: Vec<Uuid> = sqlx::query_scalar(
                        "SELECT id FROM jobs WHERE active AND state = 'queued' AND queue = $1 \
                         AND priority = $2 AND crashes = 0 \
                         AND kind IN (SELECT value FROM json_each($3)) \
                         ORDER BY queued_at LIMIT $4",
                    )
                    .bind(queue.as_str())
                    .bind(priority.rank())
                    .bind(kinds)
                    .bind(left)
                    .fetch_all(&self.reader)
                    .await?;
                    ids.extend(lane.into_iter().map(JobId::from_uuid));
                }
            }
            Ok(ids)
        })
        .await
    }

    async fn queued_of_other_kinds(
        &self,
        ids: &[JobId],
        kinds: &[KindName],
    ) -> Result<Vec<Hint>, StoreError> {
        let kinds = to_json("kind", &kinds)?;
        let (ids, kinds) = (&ids_as_json(ids), &kinds);
        self.within("queued_of_other_kinds", || async move {
            let rows: Vec<HintRow> = sqlx::query_as(
                "SELECT id, queue, priority FROM jobs \
                 WHERE id IN (SELECT unhex(value) FROM json_each($1)) AND state = 'queued' \
                 AND kind NOT IN (SELECT value FROM json_each($2))",
            )
            .bind(ids)
            .bind(kinds)
            .fetch_all(&self.reader)
            .await?;
            all(rows)
        })
        .await
    }

    async fn write_result_chunk(&self, chunk: &ResultChunk) -> Result<bool, StoreError> {
        let chunk = chunk.clone();
        let write = move |connection: &Connection| chunks::write_result(connection, &chunk);
        self.write("write_result_chunk", write).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<FinishOutcome>, StoreError> {
        let write = move |connection: &Connection| finishes::finish(connection, &finishes);
        self.write("finish", write).await
    }

    async fn record_progress(&self, reports: &[ProgressReport]) -> Result<(), StoreError> {
        let reports = reports.to_vec();
        self.write("record_progress", move |connection| {
            for report in &reports {
                execute(
                    connection,
                    "UPDATE jobs SET progress = $4 WHERE id = $1 AND state = 'running' \
                     AND attempt = $2 AND lease = $3",
                    &[
                        report.id.as_uuid(),
                        &to_integer(report.attempt),
                        report.lease.as_uuid(),
                        &to_json("progress", &report.progress)?,
                    ],
                )?;
            }
            Ok(())
        })
        .await
    }

    async fn append_logs(&self, lines: &[LogLine]) -> Result<(), StoreError> {
        let lines = lines.to_vec();
        self.write("append_logs", move |connection| {
            for line in &lines {
                execute(
                    connection,
                    "INSERT INTO logs (job_id, attempt, sequence, logged_at, line, started_at) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                    &[
                        line.job.as_uuid(),
                        &to_integer(line.attempt),
                        &to_integer(line.sequence),
                        &line.logged_at,
                        &line.text,
                        &line.started_at,
                    ],
                )?;
            }
            Ok(())
        })
        .await
    }
}
