//! What reads the same in every dialect, written once.
//!
//! The statements are the same texts; only the types of pool and row differ, which no generic
//! bound can express in fewer lines than a macro.

/// The names that the macro's text uses.
pub(super) mod names {
    pub(in crate::store) use std::ops::Range;

    pub(in crate::store) use async_trait::async_trait;
    pub(in crate::store) use bytes::Bytes;

    pub(in crate::store) use crate::{
        api_key::ApiKey,
        job::{
            Attempt, Job, JobFilter, JobId, KindName, LeaseId, QueueName, Tenant,
            filter::PageRequest,
        },
        kind::KindDefinition,
        queue::Lane,
        store::{
            LogLine, PAYLOAD_ATTEMPT, ResultLookup, StoreError,
            history::{self, CurrentAttempt},
            rows::{
                ApiKeyRow, AttemptRow, JobRow, LogRow, ResultRow, all, from_json, job_columns,
                parsed, priority, to_integer,
            },
            sql,
        },
        timestamp::Timestamp,
    };
}

/// Implements [`ReadStore`](super::ReadStore) for a store that has a `reader` pool and the one that
/// payloads are read by, its `lookups`, and a `within`.
macro_rules! implement_reads {
    ($store:ty, $database:ty, payloads: $payloads:ident, metadata: $has_key:literal, $with_value:literal, $end:literal) => {
        use $crate::store::reads::names::*;

        #[async_trait]
        impl $crate::store::ReadStore for $store {
            async fn get(&self, tenant: &Tenant, id: JobId) -> Result<Option<Job>, StoreError> {
                self.lookups.get(tenant, id).await
            }

            async fn list(
                &self,
                tenant: &Tenant,
                filter: &JobFilter,
                page: PageRequest,
            ) -> Result<Vec<Job>, StoreError> {
                self.within("list", || async move {
                    let mut rows: Vec<JobRow> = list_query(tenant, filter, page)
                        .build_query_as()
                        .fetch_all(&self.reader)
                        .await?;
                    if page.before.is_some() {
                        rows.reverse();
                    }
                    all(rows)
                })
                .await
            }

            async fn result(&self, tenant: &Tenant, id: JobId) -> Result<ResultLookup, StoreError> {
                self.within("result", || async move {
                    let Some(job) = self.get(tenant, id).await? else {
                        return Ok(ResultLookup::NoJob);
                    };
                    let row: Option<ResultRow> = sqlx::query_as(sql::RESULT)
                        .bind(id.as_uuid())
                        .fetch_optional(&self.reader)
                        .await?;
                    let result = row.map(ResultRow::into_result).transpose()?.flatten();
                    Ok(match result {
                        Some(result) => ResultLookup::Found { job, result },
                        None => ResultLookup::NoResult(job),
                    })
                })
                .await
            }

            async fn body_chunk(
                &self,
                id: JobId,
                attempt: u32,
                sequence: u32,
                part: Range<usize>,
            ) -> Result<Option<Bytes>, StoreError> {
                let (start, length) = (part.start, part.len());
                let pool = match attempt {
                    PAYLOAD_ATTEMPT => &self.$payloads,
                    _ => &self.reader,
                };
                self.within("body_chunk", || async move {
                    let chunk: Option<Vec<u8>> = sqlx::query_scalar(sql::CHUNK)
                        .bind(id.as_uuid())
                        .bind(to_integer(attempt))
                        .bind(to_integer(sequence))
                        // SQL counts from 1.
                        .bind(to_integer(start + 1))
                        .bind(to_integer(length))
                        .fetch_optional(pool)
                        .await?;
                    Ok(chunk.map(Bytes::from))
                })
                .await
            }

            async fn attempts(
                &self,
                tenant: &Tenant,
                id: JobId,
            ) -> Result<Option<Vec<Attempt>>, StoreError> {
                self.within("attempts", || async move {
                    let Some(job) = self.get(tenant, id).await? else {
                        return Ok(None);
                    };
                    let rows: Vec<AttemptRow> = sqlx::query_as(sql::ENDED_ATTEMPTS)
                        .bind(id.as_uuid())
                        .fetch_all(&self.reader)
                        .await?;
                    let worker: Option<Option<String>> =
                        sqlx::query_scalar(sql::WORKER_OF_NEWEST_ATTEMPT)
                            .bind(id.as_uuid())
                            .fetch_optional(&self.reader)
                            .await?;
                    let current = CurrentAttempt {
                        job: &job,
                        worker: worker.flatten(),
                    };
                    Ok(Some(history::attempts(all(rows)?, current)))
                })
                .await
            }

            async fn logs(
                &self,
                tenant: &Tenant,
                id: JobId,
                offset: u64,
                limit: u32,
            ) -> Result<Option<Vec<LogLine>>, StoreError> {
                self.within("logs", || async move {
                    if self.get(tenant, id).await?.is_none() {
                        return Ok(None);
                    }
                    let rows: Vec<LogRow> = sqlx::query_as(sql::LOGS)
                        .bind(id.as_uuid())
                        .bind(i64::try_from(offset).unwrap_or(i64::MAX))
                        .bind(i64::from(limit))
                        .fetch_all(&self.reader)
                        .await?;
                    rows.into_iter()
                        .map(|row| row.into_line(id))
                        .collect::<Result<_, _>>()
                        .map(Some)
                })
                .await
            }

            async fn queues(&self) -> Result<Vec<QueueName>, StoreError> {
                self.within("queues", || async {
                    let names: Vec<String> = sqlx::query_scalar(sql::QUEUES)
                        .fetch_all(&self.reader)
                        .await?;
                    names.iter().map(|name| parsed("queue", name)).collect()
                })
                .await
            }

            async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
                self.within("api_keys", || async {
                    let rows: Vec<ApiKeyRow> = sqlx::query_as(sql::API_KEYS)
                        .fetch_all(&self.reader)
                        .await?;
                    all(rows)
                })
                .await
            }

            async fn kinds(&self) -> Result<Vec<KindDefinition>, StoreError> {
                self.within("kinds", || async {
                    let definitions: Vec<String> = sqlx::query_scalar(sql::KINDS)
                        .fetch_all(&self.reader)
                        .await?;
                    let definitions: Vec<Option<KindDefinition>> = definitions
                        .iter()
                        .map(|text| from_json("kind", Some(text)))
                        .collect::<Result<_, _>>()?;
                    Ok(definitions.into_iter().flatten().collect())
                })
                .await
            }

            async fn cancel_requests(&self, lease: LeaseId) -> Result<Vec<JobId>, StoreError> {
                self.within("cancel_requests", || async move {
                    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(sql::CANCEL_REQUESTS)
                        .bind(lease.as_uuid())
                        .fetch_all(&self.reader)
                        .await?;
                    Ok(ids.into_iter().map(JobId::from_uuid).collect())
                })
                .await
            }

            async fn queued_at(&self, id: JobId) -> Result<Option<Timestamp>, StoreError> {
                self.within("queued_at", || async move {
                    let queued_at: Option<Option<Timestamp>> = sqlx::query_scalar(sql::QUEUED_AT)
                        .bind(id.as_uuid())
                        .fetch_optional(&self.reader)
                        .await?;
                    Ok(queued_at.flatten())
                })
                .await
            }

            async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
                self.within("lanes", || async {
                    let rows: Vec<(String, i32)> =
                        sqlx::query_as(sql::LANES).fetch_all(&self.reader).await?;
                    rows.into_iter()
                        .map(|(queue, rank)| {
                            Ok(Lane {
                                queue: parsed("queue", &queue)?,
                                priority: priority(i16::try_from(rank).unwrap_or(-1))?,
                            })
                        })
                        .collect()
                })
                .await
            }

            async fn queued_before(
                &self,
                lane: &Lane,
                before: Timestamp,
                limit: u32,
            ) -> Result<Vec<JobId>, StoreError> {
                self.within("queued_before", || async move {
                    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(sql::QUEUED_BEFORE)
                        .bind(lane.queue.as_str())
                        .bind(lane.priority.rank())
                        .bind(before)
                        .bind(i64::from(limit))
                        .fetch_all(&self.reader)
                        .await?;
                    Ok(ids.into_iter().map(JobId::from_uuid).collect())
                })
                .await
            }

            async fn count_waiting(
                &self,
                queue: &QueueName,
                limit: u64,
            ) -> Result<u64, StoreError> {
                self.within("count_waiting", || async move {
                    let count: i64 = sqlx::query_scalar(sql::COUNT_WAITING)
                        .bind(queue.as_str())
                        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                        .fetch_one(&self.reader)
                        .await?;
                    Ok(u64::try_from(count).unwrap_or(0))
                })
                .await
            }

            async fn count_unfinished(
                &self,
                tenant: &Tenant,
                limit: u64,
            ) -> Result<u64, StoreError> {
                self.within("count_unfinished", || async move {
                    let count: i64 = sqlx::query_scalar(sql::COUNT_UNFINISHED)
                        .bind(tenant.as_str())
                        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                        .fetch_one(&self.reader)
                        .await?;
                    Ok(u64::try_from(count).unwrap_or(0))
                })
                .await
            }

            async fn has_idempotency_key(
                &self,
                tenant: &Tenant,
                key: &str,
                now: Timestamp,
            ) -> Result<bool, StoreError> {
                self.within("has_idempotency_key", || async move {
                    let is_there = sqlx::query_scalar(sql::HAS_IDEMPOTENCY_KEY)
                        .bind(tenant.as_str())
                        .bind(key)
                        .bind(now)
                        .fetch_one(&self.reader)
                        .await?;
                    Ok(is_there)
                })
                .await
            }
        }

        fn list_query(
            tenant: &Tenant,
            filter: &JobFilter,
            page: PageRequest,
        ) -> sqlx::QueryBuilder<$database> {
            let mut query =
                sqlx::QueryBuilder::new(concat!("SELECT ", job_columns!(), " FROM jobs WHERE "));
            query
                .push("tenant = ")
                .push_bind(tenant.as_str().to_owned());
            if let Some(after) = page.after {
                query.push(" AND id < ").push_bind(*after.as_uuid());
            }
            if let Some(before) = page.before {
                query.push(" AND id > ").push_bind(*before.as_uuid());
            }
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            let kinds: Vec<&str> = filter.kinds.iter().map(KindName::as_str).collect();
            let queues: Vec<&str> = filter.queues.iter().map(QueueName::as_str).collect();
            let asked = [("state", states), ("kind", kinds), ("queue", queues)];
            let asked = asked.into_iter().filter(|(_, values)| !values.is_empty());
            let visible_kinds = filter.visible_kinds.as_ref();
            let visible_queues = filter.visible_queues.as_ref();
            let visible = [
                visible_kinds.map(|of| ("kind", of.iter().map(KindName::as_str).collect())),
                visible_queues.map(|of| ("queue", of.iter().map(QueueName::as_str).collect())),
            ];
            for (column, values) in asked.chain(visible.into_iter().flatten()) {
                let values: Vec<&str> = values;
                if values.is_empty() {
                    query.push(" AND 1 = 0");
                    continue;
                }
                query.push(" AND ").push(column).push(" IN (");
                let mut list = query.separated(", ");
                for value in values {
                    list.push_bind(value.to_owned());
                }
                query.push(")");
            }
            if let Some(time) = filter.created_after {
                query.push(" AND created_at >= ").push_bind(time);
            }
            if let Some(time) = filter.created_before {
                query.push(" AND created_at < ").push_bind(time);
            }
            for (key, value) in &filter.metadata {
                query
                    .push(concat!(" AND ", $has_key))
                    .push_bind(key.clone())
                    .push($with_value)
                    .push_bind(value.clone())
                    .push($end);
            }
            // Towards the newer ones it is the nearest that count.
            query.push(if page.before.is_some() {
                " ORDER BY id ASC LIMIT "
            } else {
                " ORDER BY id DESC LIMIT "
            });
            query.push_bind(i64::from(page.limit));
            query
        }
    };
}
pub(super) use implement_reads;
