//! Payloads that lie beside their jobs' rows: each is read by the run of its own job.

use std::time::Duration;

use coatcheck_tests::{
    client::Client,
    deployment::{Deployment, Mode, Plan},
};
use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::in_both_modes;

in_both_modes!(
    a_payload_that_takes_long_to_read_holds_up_no_other_job,
    a_job_whose_payload_is_being_read_can_be_stopped,
    a_worker_hands_back_jobs_whose_payloads_it_is_reading,
    what_has_yet_to_begin_does_so_beside_no_suspect,
    what_has_yet_to_begin_leaves_its_slot_to_a_suspect,
    a_suspect_whose_payload_cannot_be_read_gives_way,
);

const VARIABLE: &str = "COATCHECK_FAILPOINTS";
const SOON: Duration = Duration::from_secs(20);
/// Longer than any test waits.
const NEVER_READ: &str = "store.body_chunk.before=delay:600s";

/// What a program is given takes two chunks.
fn input() -> String {
    "0123456789".repeat(30_000)
}

/// It takes half a minute.
fn nap() -> Value {
    let payload = json!({"command": "nap", "input": input()});
    json!({"kind": "command", "payload": payload, "max_attempts": 2})
}

/// By way of the queue: a worker in the same process would be handed the payload in memory.
fn submission(input: &str) -> Value {
    let payload = json!({"command": "copy", "input": input});
    json!({"kind": "command", "payload": payload, "delay_s": 1})
}

fn plan(mode: Mode) -> Plan {
    Plan::new(mode)
        .config(
            "[commands.copy]\nprogram = \"/bin/cat\"\n\
             [commands.nap]\nprogram = \"/bin/sleep\"\nargs = [\"30\"]\n",
        )
        .set("COATCHECK_WORKER__LEASE_S", 6)
}

fn time(value: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap()
}

async fn running(client: &Client, submission: &Value) -> String {
    let id = client.submit(submission).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();
    id
}

async fn a_payload_that_takes_long_to_read_holds_up_no_other_job(mode: Mode) {
    let slow_then_away = "store.body_chunk.before=delay:10s@1,store.body_chunk.before=error@2-4";
    let deployment = plan(mode).set(VARIABLE, slow_then_away).start();
    let deployment = deployment.await.unwrap();
    let client = deployment.client().unwrap();
    let (large, small) = (submission(&input()), submission("small"));
    let batch = json!({"jobs": [large, small, small, small], "atomic": true});
    let answer = client.post("/v1/jobs/batch", &batch).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let outcomes = answer.json();
    let id = |index: usize| outcomes["outcomes"][index]["job"]["id"].as_str().unwrap();

    let large = client.wait_for_end(id(0), SOON).await.unwrap();
    let end = (&large["state"], &large["attempt"]);
    assert_eq!(end, (&json!("succeeded"), &json!(1)), "{large}");
    let claimed_at = time(&large["started_at"]);
    assert!(time(&large["finished_at"]) - claimed_at >= Duration::from_secs(10));
    for small in 1..4 {
        let job = client.wait_for_end(id(small), SOON).await.unwrap();
        assert_eq!(job["state"], "succeeded", "{job}");
        let waited = time(&job["finished_at"]) - claimed_at;
        assert!(waited < Duration::from_secs(9), "{waited}");
    }
    let result = client.result(id(0), SOON).await.unwrap();
    assert!(result.text() == input(), "it is another payload");
}

async fn a_job_whose_payload_is_being_read_can_be_stopped(mode: Mode) {
    // As many as are read at once.
    let first_two_never = "store.body_chunk.before=delay:600s@1-2";
    let deployment = plan(mode).set(VARIABLE, first_two_never).start();
    let deployment = deployment.await.unwrap();
    let client = deployment.client().unwrap();
    let mut large = submission(&input());
    let cancelled = running(&client, &large).await;
    large["timeout_s"] = json!(3);
    large["max_attempts"] = json!(1);
    let out_of_time = running(&client, &large).await;
    let third = client.submit(&submission(&input())).await.unwrap();

    let path = format!("/v1/jobs/{cancelled}/cancel");
    let answer = client.send(client.request(Method::POST, &path)).await;
    assert_eq!(answer.unwrap().status, 202);
    let job = client.wait_for_end(&cancelled, SOON).await.unwrap();
    assert_eq!(job["state"], "cancelled", "{job}");
    let job = client.wait_for_end(&out_of_time, SOON).await.unwrap();
    let end = (&job["state"], &job["error"]["type"]);
    assert_eq!(end, (&json!("failed"), &json!("timeout")), "{job}");
    let job = client.wait_for_end(&third, SOON).await.unwrap();
    assert_eq!(job["state"], "succeeded", "{job}");
}

fn start_worker(deployment: &mut Deployment) {
    match deployment.mode() {
        Mode::Embedded => deployment.start_api().unwrap(),
        Mode::Distributed => deployment.start_worker().unwrap(),
    }
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
    start_worker(&mut deployment);
    let client = deployment.client().unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    let end = (&job["state"], &job["attempt"]);
    assert_eq!(end, (&json!("succeeded"), &json!(1)), "{job}");
}

/// A job under which a worker has died, when the next has begun with these failure points. Once the
/// lease has ended it is a suspect.
async fn suspected(deployment: &mut Deployment, submission: &Value, points: &str) -> String {
    let id = running(&deployment.client().unwrap(), submission).await;
    deployment.workers().pop().unwrap().kill().unwrap();
    deployment.set(VARIABLE, points);
    start_worker(deployment);
    id
}

async fn what_has_yet_to_begin_does_so_beside_no_suspect(mode: Mode) {
    // So long that the other job is claimed before there is a suspect.
    let plan = plan(mode).set("COATCHECK_WORKER__LEASE_S", 12);
    let mut deployment = plan.start().await.unwrap();
    let nap = json!({"kind": "sleep", "payload": {"ms": 30_000}});
    let first_never = "store.body_chunk.before=delay:600s@1";
    let suspect = suspected(&mut deployment, &nap, first_never).await;
    let client = deployment.client().unwrap();
    let large = running(&client, &submission(&input())).await;
    let job = client.job(&suspect).await.unwrap();
    assert_eq!(job["state"], "running", "it is no suspect yet: {job}");

    let large = client.wait_for_end(&large, SOON * 3).await.unwrap();
    let end = (&large["state"], &large["attempt"]);
    assert_eq!(end, (&json!("succeeded"), &json!(1)), "{large}");
    let suspect = client.job(&suspect).await.unwrap();
    assert_eq!(suspect["attempt"], 2, "{suspect}");
    let after = time(&large["finished_at"]) - time(&suspect["started_at"]);
    assert!(
        after >= Duration::from_secs(10),
        "it ran beside it: {after}"
    );
}

async fn what_has_yet_to_begin_leaves_its_slot_to_a_suspect(mode: Mode) {
    let plan = plan(mode).set("COATCHECK_WORKER__LEASE_S", 12);
    let mut deployment = plan
        .set("COATCHECK_WORKER__CONCURRENCY", 1)
        .start()
        .await
        .unwrap();
    let nap = json!({"kind": "sleep", "payload": {"ms": 3_000}});
    let suspect = suspected(&mut deployment, &nap, NEVER_READ).await;
    let client = deployment.client().unwrap();
    let large = running(&client, &submission(&input())).await;

    let suspect = client.wait_for_end(&suspect, SOON * 2).await.unwrap();
    assert_eq!(suspect["state"], "succeeded", "{suspect}");
    let again = client.wait_for(&large, &["running"], SOON).await.unwrap();
    assert_eq!(again["attempt"], 1, "it lost no attempt: {again}");
}

async fn a_suspect_whose_payload_cannot_be_read_gives_way(mode: Mode) {
    let mut deployment = plan(mode).start().await.unwrap();
    let suspect = suspected(&mut deployment, &nap(), NEVER_READ).await;
    let client = deployment.client().unwrap();
    let job = client.wait_for_end(&suspect, SOON * 2).await.unwrap();
    assert_eq!(job["state"], "failed", "{job}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("payload"), "{message}");
    let small = client.submit(&submission("small")).await.unwrap();
    let job = client.wait_for_end(&small, SOON).await.unwrap();
    assert_eq!(job["state"], "succeeded", "{job}");
}
