//! Payloads that lie beside their jobs' rows: each is read by the run of its own job.

use std::time::Duration;

use coatcheck_tests::{
    client::Client,
    deployment::{Deployment, Mode, Plan},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(
    a_payload_that_takes_long_to_read_holds_up_no_other_job,
    a_job_whose_payload_is_being_read_can_be_stopped,
    a_worker_hands_back_jobs_whose_payloads_it_is_reading,
);

const VARIABLE: &str = "COATCHECK_FAILPOINTS";
const SOON: Duration = Duration::from_secs(20);
/// Longer than any test waits.
const NEVER_READ: &str = "store.body_chunk.before=delay:600s";

/// What a program is given takes two chunks.
fn input() -> String {
    "0123456789".repeat(30_000)
}

/// By way of the queue: a worker in the same process would be handed the payload in memory.
fn submission(input: &str) -> Value {
    let payload = json!({"command": "copy", "input": input});
    json!({"kind": "command", "payload": payload, "delay_s": 1})
}

fn plan(mode: Mode) -> Plan {
    Plan::new(mode).config("[commands.copy]\nprogram = \"/bin/cat\"\n")
}

async fn running(client: &Client, submission: &Value) -> String {
    let id = client.submit(submission).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();
    id
}

async fn a_payload_that_takes_long_to_read_holds_up_no_other_job(mode: Mode) {
    let slow_then_away = "store.body_chunk.before=delay:5s@1,store.body_chunk.before=error@2-4";
    let deployment = plan(mode).set(VARIABLE, slow_then_away).start();
    let deployment = deployment.await.unwrap();
    let client = deployment.client().unwrap();
    let (large, small) = (submission(&input()), submission("small"));
    let batch = json!({"jobs": [large, small, small, small], "atomic": true});
    let answer = client.post("/v1/jobs/batch", &batch).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let outcomes = answer.json();
    let id = |index: usize| outcomes["outcomes"][index]["job"]["id"].as_str().unwrap();

    for small in 1..4 {
        let job = client.wait_for_end(id(small), SOON).await.unwrap();
        assert_eq!(job["state"], "succeeded", "{job}");
    }
    let large = client.job(id(0)).await.unwrap();
    assert_eq!(large["state"], "running", "its payload has not been read");
    let large = client.wait_for_end(id(0), SOON).await.unwrap();
    let end = (&large["state"], &large["attempt"]);
    assert_eq!(end, (&json!("succeeded"), &json!(1)), "{large}");
    let result = client.result(id(0), SOON).await.unwrap();
    assert!(result.text() == input(), "it is another payload");
}

async fn a_job_whose_payload_is_being_read_can_be_stopped(mode: Mode) {
    let deployment = plan(mode).set(VARIABLE, NEVER_READ).start();
    let deployment = deployment.await.unwrap();
    let client = deployment.client().unwrap();
    let mut large = submission(&input());
    let cancelled = running(&client, &large).await;
    large["timeout_s"] = json!(1);
    large["max_attempts"] = json!(1);
    let out_of_time = client.submit(&large).await.unwrap();

    let path = format!("/v1/jobs/{cancelled}/cancel");
    let answer = client.send(client.request(Method::POST, &path)).await;
    assert_eq!(answer.unwrap().status, 202);
    let job = client.wait_for_end(&cancelled, SOON).await.unwrap();
    assert_eq!(job["state"], "cancelled", "{job}");
    let job = client.wait_for_end(&out_of_time, SOON).await.unwrap();
    let end = (&job["state"], &job["error"]["type"]);
    assert_eq!(end, (&json!("failed"), &json!("timeout")), "{job}");
}

async fn a_worker_hands_back_jobs_whose_payloads_it_is_reading(mode: Mode) {
    let plan = plan(mode).set(VARIABLE, NEVER_READ);
    // It is neither the grace that ends the wait nor the rescuer who helps.
    let plan = plan.set("COATCHECK_WORKER__GRACE_S", 300);
    let plan = plan.set("COATCHECK_WORKER__LEASE_S", 600);
    let mut deployment: Deployment = plan.start().await.unwrap();
    let id = running(&deployment.client().unwrap(), &submission(&input())).await;

    deployment.set(VARIABLE, "");
    let mut worker = deployment.workers().pop().unwrap();
    worker.terminate().unwrap();
    worker.wait(SOON).unwrap();
    match mode {
        Mode::Embedded => deployment.start_api().unwrap(),
        Mode::Distributed => deployment.start_worker().unwrap(),
    }
    let client = deployment.client().unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    let end = (&job["state"], &job["attempt"]);
    assert_eq!(end, (&json!("succeeded"), &json!(1)), "{job}");
}
