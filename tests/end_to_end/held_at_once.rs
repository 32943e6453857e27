//! One worker process holds ten thousand jobs at once.

use std::time::{Duration, Instant};

use coatcheck_tests::{
    client::Client,
    deployment::{Mode, Plan},
    resources::peak_memory,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(ten_thousand_jobs_are_held_by_one_worker);

const JOBS: usize = 10_000;
/// Long enough that the last has begun before the first has ended, also in a build that was not
/// optimised. `cargo xtask bench` does it with jobs of a second, and an optimised one.
const SLEEP_MS: u64 = 20_000;
const LIMIT: Duration = Duration::from_secs(120);
/// 100 KiB a job would be this.
const MOST_MEMORY: u64 = 1 << 30;

async fn ten_thousand_jobs_are_held_by_one_worker(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set("COATCHECK_WORKER__CONCURRENCY", JOBS)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let begun = Instant::now();
    submit_all(&client).await;
    let jobs = wait_for_all(&client, begun).await;

    let most = most_at_once(&jobs);
    let memory = peak_memory(deployment.workers()[0].process_id()).unwrap();
    #[expect(clippy::print_stderr, reason = "what was measured is of use in itself")]
    {
        eprintln!(
            "{most} jobs at once, all done {:.1} s after the first was sent, {} MiB at most",
            begun.elapsed().as_secs_f64(),
            memory >> 20
        );
    }
    assert_eq!(most, JOBS, "all were held at once");
    assert!(memory < MOST_MEMORY, "{memory} bytes");
}

async fn submit_all(client: &Client) {
    let submission = json!({"kind": "sleep", "payload": {"ms": SLEEP_MS}});
    stream::iter(0..JOBS)
        .map(|_| client.submit(&submission))
        .buffer_unordered(64)
        .for_each(|accepted| async move {
            accepted.unwrap();
        })
        .await;
}

/// Lists the jobs until every one has succeeded.
async fn wait_for_all(client: &Client, begun: Instant) -> Vec<Value> {
    loop {
        let jobs = list(client, "state=succeeded").await;
        if jobs.len() == JOBS {
            return jobs;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{} done after {LIMIT:?}",
            jobs.len()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn list(client: &Client, filter: &str) -> Vec<Value> {
    let mut jobs = Vec::new();
    let mut path = format!("/v1/jobs?limit=1000&{filter}");
    loop {
        let page = client.get(&path).await.unwrap().json();
        jobs.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else {
            return jobs;
        };
        path = format!("/v1/jobs?limit=1000&{filter}&cursor={cursor}");
    }
}

/// How many of the jobs ran at the same moment, by their own times: in one form, so that they sort
/// as text.
fn most_at_once(jobs: &[Value]) -> usize {
    let mut starts: Vec<&str> = times(jobs, "started_at");
    let mut ends: Vec<&str> = times(jobs, "finished_at");
    starts.sort_unstable();
    ends.sort_unstable();
    let mut ended = 0;
    let mut most = 0;
    for (position, start) in starts.iter().enumerate() {
        while ends[ended] < *start {
            ended += 1;
        }
        most = most.max(position + 1 - ended);
    }
    most
}

fn times<'a>(jobs: &'a [Value], field: &str) -> Vec<&'a str> {
    jobs.iter()
        .map(|job| job[field].as_str().unwrap())
        .collect()
}
