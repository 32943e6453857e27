//! A panic, which is a bug: it fails what it met, and leaves no process half alive.

use std::time::Duration;

use coatcheck_tests::deployment::{Mode, Plan};
use reqwest::Method;
use serde_json::json;

use crate::in_both_modes;

const VARIABLE: &str = "COATCHECK_FAILPOINTS";
const SOON: Duration = Duration::from_secs(30);

in_both_modes!(
    a_write_that_panics_fails_alone,
    a_server_without_its_tasks_ends,
    a_worker_without_its_tasks_ends,
);

async fn a_write_that_panics_fails_alone(mode: Mode) {
    let deployment = Plan::new(mode)
        .set(
            VARIABLE,
            "store.insert.before=panic@1,store.insert_and_claim.before=panic@1,\
             store.finish.before=panic@1",
        )
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 1}});
    let mut failed = 0;
    let accepted = loop {
        let request = client
            .request(Method::POST, "/v1/jobs")
            .header("content-type", "application/json")
            .body(submission.to_string());
        let answer = client.send(request).await.unwrap();
        if answer.status == 202 {
            break answer;
        }
        assert_eq!(answer.status, 500, "{}", answer.text());
        failed += 1;
    };
    // Once for each way into the store that it came to.
    assert!((1..=2).contains(&failed), "{failed} failed");
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "succeeded", "{job}");
}

/// Its kinds would never be read again.
async fn a_server_without_its_tasks_ends(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set(VARIABLE, "store.kinds.before=panic@2")
        .start()
        .await
        .unwrap();
    let status = deployment.apis()[0].wait(SOON).unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
}

/// What is due would never be run.
async fn a_worker_without_its_tasks_ends(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set(VARIABLE, "store.enqueue_due.before=panic@2")
        .start()
        .await
        .unwrap();
    let status = deployment.workers()[0].wait(SOON).unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
}
