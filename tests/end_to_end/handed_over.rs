//! The embedded mode: a job for which a worker waits is claimed in the commit that stores it.

use std::time::Duration;

use coatcheck_tests::{
    client::{Answer, Client},
    deployment::{Mode, Plan},
};
use reqwest::Method;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn submit(client: &Client, key: &str) -> Answer {
    let submission = json!({"kind": "sleep", "payload": {"ms": 1}});
    let request = client
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(submission.to_string());
    client.send(request).await.unwrap()
}

async fn end_of(client: &Client, answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    client.wait_for_end(&id, SOON).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_that_waits_is_handed_jobs() {
    let mut deployment = Plan::new(Mode::Embedded).start().await.unwrap();
    let client = deployment.client().unwrap();
    for number in 0..10 {
        let answer = submit(&client, &format!("key-{number}")).await;
        let job = end_of(&client, &answer).await;
        assert_eq!(
            (&job["state"], &job["attempt"]),
            (&json!("succeeded"), &json!(1))
        );
    }
    let handed_over = deployment.apis()[0].metric("coatcheck_handed_over_total");
    let handed_over = handed_over.unwrap().unwrap();
    // One at most came between two looks of the worker.
    assert!(handed_over > 5.0, "{handed_over}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_of_which_nobody_hears_whether_it_was_stored_is_run() {
    let deployment = Plan::new(Mode::Embedded)
        .set(
            "COATCHECK_FAILPOINTS",
            "store.insert_and_claim.after=error@1",
        )
        // It is not the rescuer who helps.
        .set("COATCHECK_WORKER__LEASE_S", 600)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let mut key = 0;
    let lost = loop {
        key += 1;
        let answer = submit(&client, &format!("key-{key}")).await;
        if answer.status == 503 {
            break format!("key-{key}");
        }
        end_of(&client, &answer).await;
        assert!(key < 20, "no job was handed over");
    };
    let job = end_of(&client, &submit(&client, &lost).await).await;
    assert_eq!(
        (&job["state"], &job["attempt"]),
        (&json!("succeeded"), &json!(1))
    );
}
