//! Jobs handed in, cancelled, retried and deleted many at once.

use std::time::{Duration, Instant};

use coatcheck_tests::{
    client::Client,
    deployment::{Mode, Plan},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(
    a_batch_runs_and_is_deleted_as_a_whole,
    jobs_that_run_are_cancelled_and_retried_together,
);

const LIMIT: Duration = Duration::from_secs(60);

/// Moves all that a query means; how many that were.
async fn bulk(client: &Client, method: Method, path: &str) -> u64 {
    let answer = client.send(client.request(method, path)).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert!(answer.json()["more"].is_null(), "{}", answer.text());
    answer.json()["count"].as_u64().unwrap()
}

/// Waits until so many jobs are in a state.
async fn until(client: &Client, state: &str, expected: usize) {
    let begun = Instant::now();
    loop {
        let path = format!("/v1/jobs?limit=1000&state={state}");
        let page = client.get(&path).await.unwrap().json();
        let found = page["items"].as_array().unwrap().len();
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{found} of {expected} {state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn submit_batch(client: &Client, submissions: Vec<Value>) {
    let count = submissions.len();
    let batch = json!({"jobs": submissions, "atomic": true});
    let answer = client.post("/v1/jobs/batch", &batch).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let outcomes = answer.json()["outcomes"].as_array().unwrap().len();
    assert_eq!(outcomes, count);
}

async fn a_batch_runs_and_is_deleted_as_a_whole(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let job = json!({"kind": "sleep", "payload": {"ms": 1}, "queue": "batch"});
    submit_batch(&client, vec![job; 1_000]).await;
    until(&client, "succeeded", 1_000).await;
    let all = "/v1/jobs?queue=batch";
    let dry = format!("{all}&dry_run=true");
    assert_eq!(bulk(&client, Method::DELETE, &dry).await, 1_000);
    assert_eq!(bulk(&client, Method::DELETE, all).await, 1_000);
    until(&client, "succeeded", 0).await;
    assert_eq!(bulk(&client, Method::DELETE, all).await, 0);
}

async fn jobs_that_run_are_cancelled_and_retried_together(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let long = json!({"kind": "sleep", "payload": {"ms": 600_000}});
    let later = json!({"kind": "sleep", "payload": {"ms": 600_000}, "delay_s": 600});
    let mut submissions = vec![long; 600];
    submissions.extend(vec![later; 10]);
    submit_batch(&client, submissions).await;
    until(&client, "running", 600).await;

    let waiting = "/v1/jobs/cancel?state=scheduled,queued";
    assert_eq!(bulk(&client, Method::POST, waiting).await, 10);
    until(&client, "running", 600).await;
    let all = "/v1/jobs/cancel?kind=sleep";
    assert_eq!(bulk(&client, Method::POST, all).await, 600);
    until(&client, "cancelled", 610).await;

    let retry = "/v1/jobs/retry?state=cancelled";
    assert_eq!(bulk(&client, Method::POST, retry).await, 610);
    until(&client, "running", 610).await;
    assert_eq!(bulk(&client, Method::POST, all).await, 610);
    until(&client, "cancelled", 610).await;
}
