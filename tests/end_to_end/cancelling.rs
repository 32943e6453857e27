//! Cancelling jobs.

use std::{collections::BTreeSet, time::Duration};

use coatcheck_tests::{
    client::Client,
    deployment::{Mode, Plan},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::in_both_modes;

const SOON: Duration = Duration::from_secs(20);

in_both_modes!(
    a_waiting_job_is_cancelled_at_once,
    a_running_job_is_stopped,
    a_running_program_is_killed_with_its_children,
    a_finished_job_cannot_be_cancelled,
    the_answer_agrees_with_the_final_state,
);

async fn cancel(client: &Client, id: &str) -> (u16, Value) {
    let path = format!("/v1/jobs/{id}/cancel");
    let request = client.request(reqwest::Method::POST, &path);
    let answer = client.send(request).await.unwrap();
    (answer.status, answer.json())
}

async fn a_waiting_job_is_cancelled_at_once(mode: Mode) {
    let deployment = Plan::new(mode)
        .set("COATCHECK_WORKER__CONCURRENCY", 1)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let long = json!({"kind": "sleep", "payload": {"ms": 60_000}});
    let later = json!({"kind": "sleep", "payload": {"ms": 1}, "delay_s": 600});
    let running = client.submit(&long).await.unwrap();
    client.wait_for(&running, &["running"], SOON).await.unwrap();

    for (submission, state) in [(long, "queued"), (later, "scheduled")] {
        let id = client.submit(&submission).await.unwrap();
        assert_eq!(client.job(&id).await.unwrap()["state"], state);
        for _ in 0..2 {
            let (status, job) = cancel(&client, &id).await;
            assert_eq!((status, &job["state"]), (200, &json!("cancelled")), "{job}");
        }
    }
}

async fn a_running_job_is_stopped(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let long = json!({"kind": "sleep", "payload": {"ms": 60_000}, "max_attempts": 1});
    let id = client.submit(&long).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();

    let (status, job) = cancel(&client, &id).await;
    assert_eq!(status, 202, "{job}");
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "cancelled");
    assert_eq!(
        job["error"],
        Value::Null,
        "being told to stop is no failure"
    );
    let result = client.get(&format!("/v1/jobs/{id}/result")).await.unwrap();
    assert_eq!(result.status, 404);
    assert!(result.text().contains("no-result"), "{}", result.text());
}

async fn a_running_program_is_killed_with_its_children(mode: Mode) {
    // A sleep that nobody else sleeps, so that it is found by its argument.
    let seconds = 100_000 + u64::from(std::process::id());
    let deployment = Plan::new(mode)
        .config(format!(
            "[commands.nap]\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"sleep {seconds}; true\"]\n"
        ))
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let nap = json!({"kind": "command", "payload": {"command": "nap"}});
    let id = client.submit(&nap).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();
    wait_until(|| is_sleeping(seconds)).await;

    assert_eq!(cancel(&client, &id).await.0, 202);
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "cancelled");
    wait_until(|| !is_sleeping(seconds)).await;
}

async fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("did not come true within 10 s");
}

/// Whether a `sleep` of this many seconds runs on this machine.
fn is_sleeping(seconds: u64) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())
    })
}

async fn a_finished_job_cannot_be_cancelled(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let short = json!({"kind": "sleep", "payload": {"ms": 1}});
    let id = client.submit(&short).await.unwrap();
    client.wait_for_end(&id, SOON).await.unwrap();

    let (status, problem) = cancel(&client, &id).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(client.job(&id).await.unwrap()["state"], "succeeded");
}

/// Jobs that end at about the moment when they are cancelled.
async fn the_answer_agrees_with_the_final_state(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let raced = stream::iter(0..400_u64).map(|number| {
        let client = client.clone();
        async move {
            let submission = json!({"kind": "sleep", "payload": {"ms": number % 8}});
            let id = client.submit(&submission).await.unwrap();
            // The later ones wait longer: on a busy machine jobs begin late.
            let pause = number % 25 * (1 + number / 40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let (status, answered) = cancel(&client, &id).await;
            let job = client.wait_for_end(&id, SOON).await.unwrap();
            let state = job["state"].as_str().unwrap().to_owned();
            let agrees = match status {
                200 => answered["state"] == "cancelled" && state == "cancelled",
                202 => state == "cancelled" || state == "succeeded",
                409 => state == "succeeded",
                _ => false,
            };
            assert!(agrees, "{status} {answered}, and then {job}");
            status
        }
    });
    let answers: Vec<u16> = raced.buffer_unordered(16).collect().await;
    let distinct: BTreeSet<u16> = answers.into_iter().collect();
    assert!(distinct.len() > 1, "there was no race: {distinct:?}");
}
