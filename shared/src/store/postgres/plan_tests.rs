//! How Postgres plans what is on the way of a job, whatever it knows of the tables by then.

use std::time::Duration;

use bytes::Bytes;
use sqlx::Executor;

use super::{PostgresStore, tests::connected_anew};
use crate::{
    clock::{Clock, SystemClock},
    job::{
        ClaimedJob, Failure, Idempotency, Inserted, JobId, JobResult, LeaseId, NewJob, Outcome,
        Progress, Tenant, Unique, UniqueMode, failure::FailureType,
    },
    store::{
        CHUNK_SIZE, JobStore, KeeperStore, LogLine, PAYLOAD_ATTEMPT, ProgressReport, ReadStore,
        RegistryStore, ResultChunk, RunStore, SuspectStore,
        conformance::{empty_postgres, finish, new_job},
        sql,
    },
    timestamp::Timestamp,
};

#[tokio::test]
async fn lanes_are_found_without_reading_all_that_waits() {
    let store = empty_postgres().await;
    store.migrate().await.unwrap();
    store.create_queue(&new_job().queue).await.unwrap();
    let waiting = (0..5_000).map(|_| new_job()).collect();
    store.insert(waiting).await.unwrap();
    store.reader.execute("ANALYZE jobs").await.unwrap();
    assert_eq!(store.lanes().await.unwrap().len(), 1);
    let explained = sqlx::AssertSqlSafe(format!("EXPLAIN {}", sql::LANES));
    let plan: Vec<String> = sqlx::query_scalar(explained)
        .fetch_all(&store.reader)
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("using jobs_active"), "{plan}");
    assert!(!plan.contains("Scan on jobs "), "{plan}");
}

#[tokio::test]
async fn what_is_on_the_way_of_a_job_is_planned_once() {
    let schema = empty_postgres().await;
    schema.migrate().await.unwrap();
    let store = with_one_writer(&schema).await;
    let lease = LeaseId::generate(&SystemClock);
    for _ in 0..10 {
        let id = JobId::generate(&SystemClock);
        let now = SystemClock.now();
        store.get(&Tenant::default(), id).await.unwrap();
        store.claim(lease, &[id], &[], now).await.unwrap();
    }
    let planned: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT generic_plans, custom_plans, statement FROM pg_prepared_statements \
         WHERE statement LIKE '%jobs%' AND statement NOT LIKE '%pg_prepared%'",
    )
    .fetch_all(&store.writer)
    .await
    .unwrap();
    assert_eq!(planned.len(), 3, "{planned:?}");
    for (generic, custom, statement) in planned {
        assert!(generic > 0 && custom == 0, "{statement}");
    }
}

/// A plan stays: one that is made while there are few rows serves when there are many.
#[tokio::test]
async fn rows_are_looked_up_whatever_the_size_they_were_planned_for() {
    for (rows, prepare) in [(60, "SELECT"), (60, "ANALYZE"), (5_000, "ANALYZE")] {
        let schema = empty_postgres().await;
        schema.migrate().await.unwrap();
        let numbers: Vec<usize> = (0..rows).collect();
        for some in numbers.chunks(500) {
            let jobs = some.iter().map(|number| with_keys(new_job(), *number));
            schema.insert(jobs.collect()).await.unwrap();
        }
        schema.writer.execute(prepare).await.unwrap();
        let store = with_one_writer(&schema).await;
        ask_everything(&store).await;
        let prepared: Vec<(String, String, i32)> = sqlx::query_as(
            "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements",
        )
        .fetch_all(&store.writer)
        .await
        .unwrap();
        for part in EVERY_LOOKUP {
            let is_there = |(_, statement, _): &(_, String, _)| statement.contains(part);
            assert!(prepared.iter().any(is_there), "{part} is not asked");
        }
        for (name, statement, parameters) in prepared {
            let plan = plan_of(&store, &name, parameters).await;
            assert!(
                !reads_all_rows(&plan),
                "of {rows} rows, {prepare}: {statement}\n{plan:#?}"
            );
        }
    }
}

#[test]
fn a_plan_that_reads_everything_is_told_from_a_lookup() {
    let of = |steps: &[&str]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    for plan in [
        &["Seq Scan on jobs", "  Filter: (id = $1)"][..],
        &[
            "Hash Join",
            "  ->  Index Scan using jobs_pkey on jobs",
            "  ->  Hash",
        ],
        &[
            "Bitmap Index Scan on idempotency_keys_pkey",
            "  Index Cond: (tenant = $1)",
        ],
        &[
            "Index Scan using jobs_by_tenant on jobs",
            "  Index Cond: (tenant = $1)",
        ],
    ] {
        assert!(reads_all_rows(&of(plan)), "{plan:?}");
    }
    for plan in [
        [
            "Index Scan using jobs_pkey on jobs",
            "  Index Cond: (id = ANY ($1))",
        ],
        [
            "Index Scan using jobs_active on jobs",
            "  Filter: (lease = $1)",
        ],
    ] {
        assert!(!reads_all_rows(&of(&plan)), "{plan:?}");
    }
}

/// A part of each statement for moves that finds jobs, keys or chunks by a list of them, or one by one.
const EVERY_LOOKUP: [&str; 15] = [
    "UPDATE jobs SET state = 'running'",
    "UPDATE jobs SET state = 'succeeded'",
    "UPDATE jobs SET progress",
    "UPDATE jobs SET state = moved.state",
    "metadata FROM jobs WHERE id = ANY($1)",
    "FROM jobs AS job WHERE job.id = ANY($1)",
    "FROM jobs AS job WHERE job.id = ANY($2) AND job.tenant",
    "FROM jobs AS job WHERE job.active AND job.state = 'running'",
    "FROM jobs AS job WHERE job.id = $1 FOR UPDATE",
    "JOIN idempotency_keys",
    "DELETE FROM idempotency_keys WHERE job_id",
    "DELETE FROM idempotency_keys WHERE ctid",
    "DELETE FROM unique_keys WHERE ctid",
    "UPDATE unique_keys",
    "ELSE substr(body",
];

/// The plan that a prepared statement has, a line a step and a line a condition.
async fn plan_of(store: &PostgresStore, name: &str, parameters: i32) -> Vec<String> {
    let nulls = vec!["NULL"; usize::try_from(parameters).unwrap()].join(", ");
    let arguments = if nulls.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {name} {arguments}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .fetch_all(&store.writer)
        .await
        .unwrap()
}

/// Whether a step goes through a whole table, or through an index of all its rows by less than what
/// tells one from another.
fn reads_all_rows(plan: &[String]) -> bool {
    let of_all_rows = [
        ("jobs_pkey", &["(id "][..]),
        ("jobs_by_tenant", &["(tenant ", "(id "]),
        ("_keys_pkey", &["(tenant ", "(key "]),
        ("idempotency_keys_expired", &["(expires_at "]),
        ("chunks_pkey", &["(job_id "]),
    ];
    plan.iter().enumerate().any(|(number, step)| {
        let condition = plan
            .get(number + 1)
            .filter(|condition| condition.contains("Index Cond"));
        let names = |column: &&str| condition.is_some_and(|condition| condition.contains(*column));
        let of_table = ["jobs", "idempotency_keys", "unique_keys", "chunks"]
            .iter()
            .any(|table| step.contains(&format!("Seq Scan on {table}")));
        let of_index = of_all_rows.iter().any(|(index, columns)| {
            step.contains("Scan") && step.contains(index) && !columns.iter().all(names)
        });
        of_table || of_index
    })
}

/// A store on the database of another, with one connection for moves: all of them are planned by it.
async fn with_one_writer(schema: &PostgresStore) -> PostgresStore {
    connected_anew(schema, 2, Duration::from_secs(10)).await
}

fn with_keys(job: NewJob, number: usize) -> NewJob {
    NewJob {
        idempotency: Some(Idempotency {
            key: format!("key-{number}"),
            fingerprint: [7; 32],
            status: 202,
            expires_at: job.created_at.after(Duration::from_secs(60)),
        }),
        unique: Some(Unique {
            key: format!("key-{number}"),
            mode: UniqueMode::WhileActive,
        }),
        ..job
    }
}

/// What is asked for moves, so that all of [`EVERY_LOOKUP`] is prepared.
async fn ask_everything(store: &PostgresStore) {
    let (now, tenant) = (SystemClock.now(), Tenant::default());
    let later = now.after(Duration::from_secs(3_600));
    let plain: Vec<NewJob> = (0..4).map(|_| new_job()).collect();
    let ids: Vec<JobId> = plain.iter().map(|job| job.id).collect();
    let (kinds, queues) = (vec![plain[0].kind.clone()], vec![plain[0].queue.clone()]);
    store.insert(plain.clone()).await.unwrap();
    store.insert(plain).await.unwrap();
    ask_for_keys(store).await;
    let jobs = claimed(store, &ids, now).await;
    store.get(&tenant, ids[0]).await.unwrap();
    let success = Outcome::Succeeded(JobResult::new("a/b", "done"));
    let failure = Failure::new(FailureType::Error, "it went wrong");
    let retry = Outcome::RetryAt {
        run_at: now,
        backoff: Duration::ZERO,
        failure: failure.clone(),
    };
    for (job, outcome) in jobs.iter().zip([success, Outcome::Failed(failure), retry]) {
        store.finish(vec![finish(job, outcome)]).await.unwrap();
    }
    store.retry(&tenant, ids[1], now).await.unwrap();
    store.cancel(&tenant, ids[3], now).await.unwrap();
    store.enqueue_due(later, 10).await.unwrap();
    store.close_lease(jobs[3].lease).await.unwrap();
    store.rescue(now, 10).await.unwrap();
    store.oldest_queued(&queues, &kinds, 10).await.unwrap();
    store.queued_of_other_kinds(&ids, &[]).await.unwrap();
    store.suspects(&queues, &kinds, 10).await.unwrap();
    store
        .claim_suspects(jobs[0].lease, &ids, &kinds, now)
        .await
        .unwrap();
    store.fail_overdue(later, 10).await.unwrap();
    store.delete(&tenant, ids[0]).await.unwrap();
    store
        .delete_expired(later.after(Duration::from_secs(3_600)), 10)
        .await
        .unwrap();
    store.delete_expired_keys(later, 10).await.unwrap();
    store.delete_ended_leases().await.unwrap();
}

/// Of the keys that the first jobs have: one that is asked for again, one that stands in the way,
/// and one whose job gives way.
async fn ask_for_keys(store: &PostgresStore) {
    let repeated = with_keys(new_job(), 0);
    let refused = NewJob {
        unique: repeated.unique.clone(),
        ..with_keys(new_job(), 1_000_001)
    };
    let replacing = NewJob {
        idempotency: None,
        unique: Some(Unique {
            key: "key-1".to_owned(),
            mode: UniqueMode::Replace,
        }),
        ..new_job()
    };
    let answers = store.insert(vec![repeated, refused, replacing]).await;
    let answers = answers.unwrap();
    assert!(
        matches!(
            answers[..],
            [
                Inserted::Replayed { .. },
                Inserted::UniqueExists { .. },
                Inserted::Stored { replaced: Some(_) }
            ]
        ),
        "{answers:?}"
    );
}

/// These jobs, running, after each has said something.
async fn claimed(store: &PostgresStore, ids: &[JobId], now: Timestamp) -> Vec<ClaimedJob> {
    let lease = LeaseId::generate(&SystemClock);
    store
        .open_lease(lease, "a-worker", Duration::from_secs(600))
        .await
        .unwrap();
    let jobs = store
        .claim(lease, ids, &[new_job().kind], now)
        .await
        .unwrap();
    assert_eq!(jobs.len(), ids.len());
    let reports: Vec<ProgressReport> = jobs.iter().map(progress_of).collect();
    store.record_progress(&reports).await.unwrap();
    let lines: Vec<LogLine> = jobs.iter().map(line_of).collect();
    store.append_logs(&lines).await.unwrap();
    let chunk = ResultChunk {
        id: jobs[0].id,
        attempt: jobs[0].attempt,
        lease,
        sequence: 0,
        bytes: Bytes::from_static(b"a piece"),
    };
    assert!(store.write_result_chunk(&chunk).await.unwrap());
    let payload = store.body_chunk(chunk.id, PAYLOAD_ATTEMPT, 0, 0..CHUNK_SIZE);
    assert_eq!(payload.await.unwrap(), None);
    jobs
}

fn progress_of(job: &ClaimedJob) -> ProgressReport {
    ProgressReport {
        id: job.id,
        attempt: job.attempt,
        lease: job.lease,
        progress: Progress {
            percent: 50.0,
            message: None,
        },
    }
}

fn line_of(job: &ClaimedJob) -> LogLine {
    LogLine {
        job: job.id,
        attempt: job.attempt,
        started_at: job.started_at,
        sequence: 0,
        logged_at: job.started_at,
        text: "half of it is done".to_owned(),
    }
}
