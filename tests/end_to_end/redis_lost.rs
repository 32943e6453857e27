//! Redis emptied, killed, gone: the database is the truth. Distributed only, for there is no Redis
//! in the other mode.

use std::time::Duration;

use coatcheck_tests::deployment::{Mode, Plan};
use serde_json::json;

use crate::load::{Load, assert_all_succeed};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_when_it_is_emptied() {
    let plan = Plan::new(Mode::Distributed).own_redis();
    // Few at once, so that hints wait in Redis when it is emptied.
    let mut deployment = plan
        .set("COATCHECK_WORKER__CONCURRENCY", 20)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let load = Load::start(&client, deployment.apis()[0].address(), 50);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        deployment.redis().unwrap().flush_all().unwrap();
    }
    let accepted = load.stop().await;
    assert_all_succeed(&client, &accepted, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_when_it_is_killed_and_comes_back_empty() {
    let plan = Plan::new(Mode::Distributed).own_redis();
    let mut deployment = plan.start().await.unwrap();
    let client = deployment.client().unwrap();
    let load = Load::start(&client, deployment.apis()[0].address(), 50);
    tokio::time::sleep(Duration::from_secs(1)).await;
    deployment.redis().unwrap().kill().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    deployment.redis().unwrap().restart().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let accepted = load.stop().await;
    assert_all_succeed(&client, &accepted, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_are_accepted_and_run_while_it_is_gone() {
    let plan = Plan::new(Mode::Distributed).own_redis();
    let mut deployment = plan.start().await.unwrap();
    let client = deployment.client().unwrap();
    deployment.redis().unwrap().kill().unwrap();

    let submission = json!({"kind": "sleep", "payload": {"ms": 10}});
    for _ in 0..3 {
        let id = client.submit(&submission).await.unwrap();
        let job = client.wait_for_end(&id, SOON).await.unwrap();
        assert_eq!(job["state"], "succeeded", "{job}");
    }
    let ready = client.get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200, "the database alone decides");
    assert!(ready.text().contains("degraded"), "{}", ready.text());
}
