//! `kill -9` under load: nothing that was answered 202 is lost.

use std::time::Duration;

use coatcheck_tests::deployment::{Mode, Plan};

use crate::{
    in_both_modes,
    load::{Load, assert_all_succeed},
};

const SOON: Duration = Duration::from_secs(60);

in_both_modes!(
    nothing_is_lost_with_a_worker,
    nothing_is_lost_with_an_api,
    waiting_and_finished_jobs_outlive_every_process,
);

fn short_leases(mode: Mode) -> Plan {
    Plan::new(mode).set("COATCHECK_WORKER__LEASE_S", 3)
}

async fn load_for(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn nothing_is_lost_with_a_worker(mode: Mode) {
    let mut deployment = short_leases(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let load = Load::start(&client, deployment.apis()[0].address(), 200);
    for _ in 0..2 {
        load_for(Duration::from_secs(1)).await;
        deployment.workers().remove(0).kill().unwrap();
        deployment.start_worker().unwrap();
        load.move_to(deployment.apis()[0].address());
    }
    load_for(Duration::from_secs(1)).await;
    let accepted = load.stop().await;
    let client = deployment.client().unwrap();
    assert_all_succeed(&client, &accepted, SOON).await;
}

async fn nothing_is_lost_with_an_api(mode: Mode) {
    let mut deployment = short_leases(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let load = Load::start(&client, deployment.apis()[0].address(), 20);
    for _ in 0..3 {
        load_for(Duration::from_millis(700)).await;
        deployment.apis().remove(0).kill().unwrap();
        deployment.start_api().unwrap();
        load.move_to(deployment.apis()[0].address());
    }
    load_for(Duration::from_secs(1)).await;
    let accepted = load.stop().await;
    let client = deployment.client().unwrap();
    assert_all_succeed(&client, &accepted, SOON).await;
}

async fn waiting_and_finished_jobs_outlive_every_process(mode: Mode) {
    let mut deployment = short_leases(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let finished = client
        .submit(&serde_json::json!({"kind": "sleep", "payload": {"ms": 1}}))
        .await
        .unwrap();
    let before = client.result(&finished, SOON).await.unwrap();
    let waiting = client
        .submit(&serde_json::json!({"kind": "sleep", "payload": {"ms": 1}, "delay_s": 4}))
        .await
        .unwrap();

    while let Some(process) = deployment.workers().pop() {
        process.kill().unwrap();
    }
    while let Some(process) = deployment.apis().pop() {
        process.kill().unwrap();
    }
    deployment.start_worker().unwrap();
    if mode == Mode::Distributed {
        deployment.start_api().unwrap();
    }

    let client = deployment.client().unwrap();
    let after = client.result(&finished, SOON).await.unwrap();
    assert_eq!(after.body, before.body);
    let job = client.wait_for_end(&waiting, SOON).await.unwrap();
    assert_eq!(job["state"], "succeeded", "{job}");
}
