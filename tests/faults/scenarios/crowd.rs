//! Many jobs at once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::sleep;

use super::{Shown, ms};
use crate::{
    report::quantiles,
    watch::Unmet,
    world::{Plan, World},
};

const BURST: usize = 20_000;
const BATCH: usize = 1_000;
const BACKLOG: i64 = 1_000_000;
const BURST_LIMIT: Duration = Duration::from_secs(180);

/// How many new jobs are timed.
const TIMED: usize = 60;
const SOON: Duration = Duration::from_secs(30);

/// Until when all jobs of the burst are in, in seconds from its beginning.
const IN_S: u64 = 30;

/// Twenty thousand jobs that become due in one instant.
pub(super) async fn burst(binary: &Path) -> Result<Shown> {
    let plan = Plan {
        settings: vec![("COATCHECK_WORKER__CONCURRENCY", "500".to_owned())],
        ..Plan::default()
    };
    let world = World::start(binary, plan).await?;
    let client = Client::new(world.apis[0].address)?;
    let mut unmet = Unmet::default();
    let begun = Instant::now();
    let due = due_at(&client).await?;
    for _ in 0..BURST / BATCH {
        let job = json!({"kind": "sleep", "payload": {"ms": 0}, "run_at": due,
                         "metadata": {"round": "burst"}});
        let batch = json!({"jobs": vec![job; BATCH], "atomic": true});
        let answer = client.post("/v1/jobs/batch", &batch).await?;
        if answer.status != 202 {
            return Err(format!("a batch was answered {}", answer.status).into());
        }
    }
    let submitted = begun.elapsed();
    unmet.expect(submitted.as_secs() < IN_S, || {
        "they were due before they were in".into()
    });
    sleep(Duration::from_secs(IN_S).saturating_sub(begun.elapsed())).await;
    let due_since = Instant::now();
    // One that comes in the middle of it is not held up behind all of them.
    let new = json!({"kind": "sleep", "payload": {"ms": 0}, "priority": "high"});
    let id = client.submit(&new).await?;
    client.wait_for_end(&id, SOON).await?;
    let new_took = due_since.elapsed();
    while due_since.elapsed() < BURST_LIMIT && !none_is_open(&client).await? {
        sleep(Duration::from_millis(100)).await;
    }
    let drained = due_since.elapsed();
    let succeeded = count(&client, "&state=succeeded").await?;
    unmet.expect(succeeded == BURST, || {
        format!("{succeeded} of {BURST} succeeded")
    });
    Ok(Shown {
        rows: vec![
            (
                "20,000 jobs submitted in batches of 1,000, ms".into(),
                ms(submitted),
            ),
            (
                "from the instant that all were due to the last end, ms".into(),
                ms(drained),
            ),
            (
                "a new job of high priority in that instant, ms".into(),
                ms(new_took),
            ),
        ],
        unmet: unmet.0,
    })
}

/// A job's own time, moved on.
async fn due_at(client: &Client) -> Result<Value> {
    let later = json!({"kind": "sleep", "payload": {"ms": 0}, "delay_s": IN_S});
    let id = client.submit(&later).await?;
    Ok(client.job(&id).await?["run_at"].take())
}

async fn none_is_open(client: &Client) -> Result<bool> {
    let path = "/v1/jobs?limit=1&metadata.round=burst&state=scheduled,queued,running";
    let page = client.get(path).await?.json();
    Ok(page["items"].as_array().is_some_and(Vec::is_empty))
}

async fn count(client: &Client, filter: &str) -> Result<usize> {
    let mut cursor = String::new();
    let mut count = 0;
    loop {
        let path = format!("/v1/jobs?limit=1000&metadata.round=burst{filter}{cursor}");
        let page = client.get(&path).await?.json();
        count += page["items"].as_array().map_or(0, Vec::len);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(count),
        }
    }
}

/// A new job of high priority, with nothing and with a million jobs waiting before it.
pub(super) async fn backlog(binary: &Path) -> Result<Shown> {
    let plan = Plan {
        settings: vec![
            ("COATCHECK_LIMITS__QUEUE_DEPTH", "2000000".to_owned()),
            ("COATCHECK_WORKER__CONCURRENCY", "20".to_owned()),
        ],
        ..Plan::default()
    };
    let world = World::start(binary, plan).await?;
    let client = Client::new(world.apis[0].address)?;
    let mut unmet = Unmet::default();
    let without = latencies(&client).await?;
    let begun = Instant::now();
    seed(&world, &client).await?;
    let seeded = begun.elapsed();
    // The dispatcher finds that they have no hints, and the workers are busy with them.
    sleep(Duration::from_secs(8)).await;
    let with = latencies(&client).await?;
    let waiting = waiting(&world).await?;
    unmet.expect(waiting > 900_000, || format!("only {waiting} jobs wait"));
    let median = |times: &[Duration]| times[times.len() / 2];
    // The jobs before it take 50 ms: it waits for one of them to end.
    let most = median(&without) + Duration::from_millis(150);
    unmet.expect(median(&with) < most, || {
        format!(
            "it took {:?} behind the backlog, {:?} without",
            median(&with),
            median(&without)
        )
    });
    Ok(Shown {
        rows: vec![
            ("1,000,000 rows written, ms".into(), ms(seeded)),
            ("waiting while it was measured".into(), waiting.to_string()),
            (
                "high priority, nothing waiting: p50 / p99 / max, ms".into(),
                quantiles(without.into_iter()),
            ),
            (
                "high priority, a million waiting: p50 / p99 / max, ms".into(),
                quantiles(with.into_iter()),
            ),
        ],
        unmet: unmet.0,
    })
}

/// From the submission to the end of a job with nothing to do, again and again.
async fn latencies(client: &Client) -> Result<Vec<Duration>> {
    let submission = json!({"kind": "sleep", "payload": {"ms": 0}, "priority": "high"});
    let mut times = Vec::new();
    for _ in 0..TIMED {
        let begun = Instant::now();
        let id = client.submit(&submission).await?;
        let request = client
            .request(reqwest::Method::GET, &format!("/v1/jobs/{id}"))
            .header("Prefer", "wait=20");
        let answer = client.send(request).await?;
        if answer.json()["state"] != "succeeded" {
            return Err(format!("a new job did not end: {}", answer.text()).into());
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// A million copies of one job that waits, each under an id of its own.
async fn seed(world: &World, client: &Client) -> Result<()> {
    let model = json!({"kind": "sleep", "payload": {"ms": 50}, "delay_s": 3_600});
    let model = client.submit(&model).await?;
    let mut connection = PgConnection::connect(&world.postgres.url()).await?;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'jobs' \
         AND is_generated = 'NEVER' AND column_name NOT IN ('id', 'state', 'queued_at')",
    )
    .fetch_all(&mut connection)
    .await?;
    let columns = columns.join(", ");
    let insert = format!(
        "INSERT INTO jobs (id, state, queued_at, {columns}) \
         SELECT gen_random_uuid(), 'queued', now(), {columns} \
         FROM jobs, generate_series(1, {BACKLOG}) WHERE id = '{model}'"
    );
    connection.execute(AssertSqlSafe(insert)).await?;
    connection.execute("ANALYZE jobs").await?;
    Ok(())
}

async fn waiting(world: &World) -> Result<i64> {
    let mut connection = PgConnection::connect(&world.postgres.url()).await?;
    let count = "SELECT count(*) FROM jobs WHERE state = 'queued'";
    Ok(sqlx::query_scalar(count).fetch_one(&mut connection).await?)
}
