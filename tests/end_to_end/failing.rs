//! Retries, timeouts, and how a failed job is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use coatcheck_tests::deployment::{Mode, Plan};
use serde_json::json;

use crate::{in_both_modes, real_input::TargetServer};

const SOON: Duration = Duration::from_secs(30);

in_both_modes!(
    what_fails_for_a_while_is_tried_again,
    what_keeps_failing_fails_after_its_last_attempt,
    a_job_over_its_time_fails_by_timeout,
    a_program_that_fails_tells_its_status,
    a_private_address_is_refused_by_default,
);

fn quick_retries(mode: Mode) -> Plan {
    Plan::new(mode)
        .set("COATCHECK_HTTP__ALLOW_PRIVATE", true)
        .set("COATCHECK_JOBS__BACKOFF__BASE_S", 0.05)
        .set("COATCHECK_JOBS__BACKOFF__CAP_S", 0.2)
}

async fn what_fails_for_a_while_is_tried_again(mode: Mode) {
    let deployment = quick_retries(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let target = TargetServer::start(Duration::ZERO, move || {
        if counted.fetch_add(1, Ordering::SeqCst) < 2 {
            503
        } else {
            200
        }
    })
    .await;

    let submission = json!({"kind": "http", "payload": {"url": target.url()}, "max_attempts": 5});
    let id = client.submit(&submission).await.unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["attempt"], 3);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

async fn what_keeps_failing_fails_after_its_last_attempt(mode: Mode) {
    let deployment = quick_retries(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let target = TargetServer::start(Duration::ZERO, || 503).await;

    let submission = json!({"kind": "http", "payload": {"url": target.url()}, "max_attempts": 2});
    let id = client.submit(&submission).await.unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(job["attempt"], 2);
    assert_eq!(job["error"]["type"], "error");
    assert!(job["error"].to_string().contains("503"), "{job}");
}

async fn a_job_over_its_time_fails_by_timeout(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 60_000}, "timeout_s": 1,
                            "max_attempts": 1});
    let id = client.submit(&submission).await.unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(job["error"]["type"], "timeout");
}

async fn a_program_that_fails_tells_its_status(mode: Mode) {
    let deployment = Plan::new(mode)
        .config("[commands.wrong]\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"exit 3\"]\n")
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "command", "payload": {"command": "wrong"}, "max_attempts": 1});
    let id = client.submit(&submission).await.unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["error"].to_string().contains('3'), "{job}");
}

async fn a_private_address_is_refused_by_default(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let target = TargetServer::start(Duration::ZERO, || 200).await;
    let submission = json!({"kind": "http", "payload": {"url": target.url()}, "max_attempts": 1});
    let answer = client.post("/v1/jobs", &submission).await.unwrap();
    // Whether that is seen at submission or by the worker, the target is not called.
    if answer.status == 202 {
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let job = client.wait_for_end(&id, SOON).await.unwrap();
        assert_eq!(job["state"], "failed", "{job}");
    } else {
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert_eq!(target.calls(), 0);
}
