//! What a worker asks of Postgres for the jobs it runs.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{PostgresStore, chunks, moves};
use crate::{
    job::{ClaimedJob, JobId, JobResult, KindName, LeaseId, Outcome, Priority, QueueName, State},
    queue::Hint,
    store::{
        Finish, FinishOutcome, LogLine, ProgressReport, ResultChunk, RunStore, StoreError,
        inline_result,
        moves::{Locked, LockedRow, Moved, locked_columns},
        rows::{
            HintRow, RunningAttempt, all, attempt_of, headers_to_json, to_integer, to_json, to_size,
        },
        suspects::Standing,
    },
    timestamp::Timestamp,
};

#[async_trait]
impl RunStore for PostgresStore {
    async fn open_lease(
        &self,
        lease: LeaseId,
        worker: &str,
        duration: Duration,
    ) -> Result<(), StoreError> {
        self.within("open_lease", || async move {
            sqlx::query(
                "INSERT INTO leases (id, worker, ends_at) \
                 VALUES ($1, $2, now() + make_interval(secs => $3)) ON CONFLICT DO NOTHING",
            )
            .bind(lease.as_uuid())
            .bind(worker)
            .bind(duration.as_secs_f64())
            .execute(&self.writer)
            .await?;
            Ok(())
        })
        .await
    }

    async fn renew_lease(&self, lease: LeaseId, duration: Duration) -> Result<bool, StoreError> {
        self.within("renew_lease", || async move {
            let renewed = sqlx::query(
                "UPDATE leases SET ends_at = now() + make_interval(secs => $2) \
                 WHERE id = $1 AND ends_at > now()",
            )
            .bind(lease.as_uuid())
            .bind(duration.as_secs_f64())
            .execute(&self.writer)
            .await?;
            Ok(renewed.rows_affected() > 0)
        })
        .await
    }

    async fn close_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.within("close_lease", || async move {
            sqlx::query("UPDATE leases SET ends_at = least(ends_at, now()) WHERE id = $1")
                .bind(lease.as_uuid())
                .execute(&self.writer)
                .await?;
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
        let kinds: Vec<&str> = kinds.iter().map(KindName::as_str).collect();
        let kinds = &kinds;
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
                         AND priority = $2 AND crashes = 0 AND kind = ANY($3) \
                         ORDER BY queued_at LIMIT $4",
                    )
                    .bind(queue.as_str())
                    .bind(priority.rank())
                    .bind(kinds)
                    .bind(left)
                    .fetch_all(&self.writer)
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
        let ids: Vec<Uuid> = ids.iter().map(|id| *id.as_uuid()).collect();
        let kinds: Vec<&str> = kinds.iter().map(KindName::as_str).collect();
        let (ids, kinds) = (&ids, &kinds);
        self.within("queued_of_other_kinds", || async move {
            let rows: Vec<HintRow> = sqlx::query_as(
                "SELECT id, queue, priority FROM jobs \
                 WHERE id = ANY($1) AND state = 'queued' AND kind <> ALL($2)",
            )
            .bind(ids)
            .bind(kinds)
            .fetch_all(&self.writer)
            .await?;
            all(rows)
        })
        .await
    }

    async fn write_result_chunk(&self, chunk: &ResultChunk) -> Result<bool, StoreError> {
        self.within("write_result_chunk", || {
            chunks::write_result(&self.writer, chunk)
        })
        .await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<FinishOutcome>, StoreError> {
        let finishes = &finishes;
        self.within("finish", || async move {
            // A group of nothing but these is one statement, with no BEGIN and COMMIT around it.
            let is_plain = finishes.iter().all(is_plain_success);
            let mut succeeded = HashSet::new();
            if is_plain {
                let mut connection = self.writer.lend().await?;
                succeeded = succeed(&mut connection, finishes).await?;
                connection.settle();
                if succeeded.len() == finishes.len() {
                    return Ok(vec![
                        FinishOutcome::Recorded(State::Succeeded);
                        finishes.len()
                    ]);
                }
            }
            let mut transaction = self.begin().await?;
            // Of a mixed group all, in their order, before the successes go first.
            let rows = lock(&mut transaction, &all_but(finishes, &succeeded)).await?;
            if !is_plain {
                succeeded = succeed(&mut transaction, finishes).await?;
            }
            let outcomes = finish_rest(&mut transaction, finishes, &succeeded, &rows).await?;
            transaction.commit().await?;
            Ok(outcomes)
        })
        .await
    }

    async fn record_progress(&self, reports: &[ProgressReport]) -> Result<(), StoreError> {
        let mut reports: Vec<&ProgressReport> = reports.iter().collect();
        reports.sort_by_key(|report| report.id);
        let reports = &reports;
        let progress: Vec<String> = reports
            .iter()
            .map(|report| to_json("progress", &report.progress))
            .collect::<Result<_, _>>()?;
        let progress = &progress;
        self.within("record_progress", || async move {
            sqlx::query(
                "UPDATE jobs SET progress = report.progress \
                 FROM (SELECT unnest($1::uuid[]), unnest($2::integer[]), unnest($3::uuid[]), \
                 unnest($4::text[])) \
                 AS report (id, attempt, lease, progress) \
                 WHERE jobs.id = ANY (ARRAY[report.id]) AND state = 'running' \
                 AND jobs.attempt = report.attempt AND jobs.lease = report.lease",
            )
            .bind(
                reports
                    .iter()
                    .map(|report| *report.id.as_uuid())
                    .collect::<Vec<_>>(),
            )
            .bind(
                reports
                    .iter()
                    .map(|report| to_integer(report.attempt))
                    .collect::<Vec<_>>(),
            )
            .bind(
                reports
                    .iter()
                    .map(|report| *report.lease.as_uuid())
                    .collect::<Vec<_>>(),
            )
            .bind(progress)
            .execute(&self.writer)
            .await?;
            Ok(())
        })
        .await
    }

    async fn append_logs(&self, lines: &[LogLine]) -> Result<(), StoreError> {
        self.within("append_logs", || async move {
            sqlx::query(
                "INSERT INTO logs (job_id, attempt, sequence, logged_at, line, started_at) \
                 SELECT unnest($1::uuid[]), unnest($2::integer[]), unnest($3::integer[]), \
                 unnest($4::timestamptz[]), unnest($5::text[]), unnest($6::timestamptz[]) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(
                lines
                    .iter()
                    .map(|line| *line.job.as_uuid())
                    .collect::<Vec<_>>(),
            )
            .bind(
                lines
                    .iter()
                    .map(|line| to_integer(line.attempt))
                    .collect::<Vec<_>>(),
            )
            .bind(
                lines
                    .iter()
                    .map(|line| to_integer(line.sequence))
                    .collect::<Vec<_>>(),
            )
            .bind(lines.iter().map(|line| line.logged_at).collect::<Vec<_>>())
            .bind(
                lines
                    .iter()
                    .map(|line| line.text.as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(lines.iter().map(|line| line.started_at).collect::<Vec<_>>())
            .execute(&self.writer)
            .await?;
            Ok(())
        })
        .await
    }
}

/// Whether it is a success whose result lies in its job's row, or already in chunks.
fn is_plain_success(finish: &Finish) -> bool {
    match &finish.outcome {
        Outcome::Succeeded(result) => {
            result.body.inline().is_none() || inline_result(&result.body).is_some()
        }
        _ => false,
    }
}

/// Those of attempts that have not succeeded.
fn all_but<'a>(finishes: &'a [Finish], succeeded: &HashSet<RunningAttempt>) -> Vec<&'a Finish> {
    finishes
        .iter()
        .filter(|finish| !succeeded.contains(&attempt_of(finish)))
        .collect()
}

/// What has not just succeeded, as decided one by one from the rows, which are locked.
async fn finish_rest(
    connection: &mut PgConnection,
    finishes: &[Finish],
    succeeded: &HashSet<RunningAttempt>,
    rows: &[Locked],
) -> Result<Vec<FinishOutcome>, StoreError> {
    let moves: Vec<Moved> = all_but(finishes, succeeded)
        .into_iter()
        .filter_map(|finish| rows.iter().find(|row| row.id == finish.id)?.finish(finish))
        .collect();
    moves::write(connection, &moves).await?;
    Ok(finishes
        .iter()
        .map(|finish| {
            if succeeded.contains(&attempt_of(finish)) {
                FinishOutcome::Recorded(State::Succeeded)
            } else if let Some(moved) = moves.iter().find(|moved| moved.id == finish.id) {
                FinishOutcome::Recorded(moved.state())
            } else {
                FinishOutcome::of_unchanged(rows.iter().find(|row| row.id == finish.id), finish)
            }
        })
        .collect())
}

/// Locks the rows of these jobs, in one order everywhere.
async fn lock(
    connection: &mut PgConnection,
    finishes: &[&Finish],
) -> Result<Vec<Locked>, StoreError> {
    if finishes.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = finishes.iter().map(|finish| *finish.id.as_uuid()).collect();
    let rows: Vec<LockedRow> = sqlx::query_as(concat!(
        "SELECT ",
        locked_columns!(),
        " FROM jobs AS job WHERE job.id = ANY($1) ORDER BY job.id FOR UPDATE OF job"
    ))
    .bind(ids)
    .fetch_all(connection)
    .await?;
    all(rows)
}

/// `running → succeeded` for the whole group; the attempts that moved.
async fn succeed(
    connection: &mut PgConnection,
    finishes: &[Finish],
) -> Result<HashSet<RunningAttempt>, StoreError> {
    let mut successes: Vec<(&Finish, &JobResult)> = finishes
        .iter()
        .filter_map(|finish| match &finish.outcome {
            Outcome::Succeeded(result) => Some((finish, result)),
            _ => None,
        })
        .collect();
    if successes.is_empty() {
        return Ok(HashSet::new());
    }
    // In one order everywhere, so that two of them cannot deadlock.
    successes.sort_by_key(|(finish, _)| finish.id);
    fn column<'a, T>(
        successes: &[(&'a Finish, &'a JobResult)],
        of: impl FnMut(&(&'a Finish, &'a JobResult)) -> T,
    ) -> Vec<T> {
        successes.iter().map(of).collect()
    }
    let headers: Vec<Option<String>> = successes
        .iter()
        .map(|(_, result)| headers_to_json(result))
        .collect::<Result<_, _>>()?;
    let moved: Vec<RunningAttempt> = sqlx::query_as(
        "UPDATE jobs SET state = 'succeeded', cancel_requested = false, failure = NULL, \
         finished_at = done.finished_at, \
         expires_at = done.finished_at + make_interval(secs => jobs.retain_s), \
         result_type = done.result_type, result_status = done.result_status, \
         result_headers = done.result_headers, result_size = done.result_size, \
         result = done.result \
         FROM (SELECT unnest($1::uuid[]), unnest($2::integer[]), unnest($3::uuid[]), \
         unnest($4::timestamptz[]), unnest($5::text[]), unnest($6::integer[]), unnest($7::text[]), \
         unnest($8::bigint[]), unnest($9::bytea[])) \
         AS done (id, attempt, lease, finished_at, result_type, result_status, result_headers, \
         result_size, result) \
         WHERE jobs.id = ANY (ARRAY[done.id]) AND jobs.state = 'running' \
         AND jobs.attempt = done.attempt AND jobs.lease = done.lease \
         RETURNING jobs.id, jobs.attempt, jobs.lease",
    )
    .bind(column(&successes, |(finish, _)| *finish.id.as_uuid()))
    .bind(column(&successes, |(finish, _)| to_integer(finish.attempt)))
    .bind(column(&successes, |(finish, _)| *finish.lease.as_uuid()))
    .bind(column(&successes, |(finish, _)| finish.finished_at))
    .bind(column(&successes, |(_, result)| {
        result.content_type.as_str()
    }))
    .bind(column(&successes, |(_, result)| {
        result.status.map(i32::from)
    }))
    .bind(headers)
    .bind(column(&successes, |(_, result)| {
        to_size(result.body.size())
    }))
    .bind(column(&successes, |(_, result)| {
        inline_result(&result.body)
    }))
    .fetch_all(&mut *connection)
    .await?;
    let moved: HashSet<RunningAttempt> = moved.into_iter().collect();
    for (finish, result) in successes {
        if let Some(body) = result.body.inline()
            && moved.contains(&attempt_of(finish))
        {
            chunks::write(connection, finish.id, finish.attempt, body).await?;
        }
    }
    Ok(moved)
}
