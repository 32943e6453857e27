//! Submit, poll, fetch.

use std::time::Duration;

use coatcheck_tests::deployment::{Mode, Plan};
use serde_json::json;

use crate::in_both_modes;

const SOON: Duration = Duration::from_secs(20);

in_both_modes!(
    a_job_is_accepted_polled_and_its_result_fetched,
    a_waiting_poll_is_answered_when_the_job_ends,
    a_job_for_later_waits_for_its_time,
    the_kinds_are_listed,
    health_is_told,
    two_of_each_process_work_side_by_side,
);

async fn a_job_is_accepted_polled_and_its_result_fetched(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 300}});

    let accepted = client.post("/v1/jobs", &submission).await.unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let location = accepted.header("location").to_owned();
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert!(location.ends_with(&format!("/v1/jobs/{id}")), "{location}");
    assert!(!accepted.header("retry-after").is_empty());
    assert_eq!(accepted.header("cache-control"), "no-store");

    let early = client.get(&format!("/v1/jobs/{id}/result")).await.unwrap();
    assert_eq!(early.status, 404);
    assert!(
        early.text().contains("result-not-ready"),
        "{}",
        early.text()
    );

    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(job["state"], "succeeded");
    assert_eq!(job["attempt"], 1);
    assert!(job["finished_at"].is_string());

    let result = client.result(&id, SOON).await.unwrap();
    assert_eq!(result.header("content-type"), "application/json");
    assert!(result.json().is_object(), "{}", result.text());
}

async fn a_waiting_poll_is_answered_when_the_job_ends(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 1_500}});
    let id = client.submit(&submission).await.unwrap();

    let begun = std::time::Instant::now();
    let request = client
        .request(reqwest::Method::GET, &format!("/v1/jobs/{id}"))
        .header("Prefer", "wait=30");
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["state"], "succeeded");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

async fn a_job_for_later_waits_for_its_time(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 1}, "delay_s": 2});

    let id = client.submit(&submission).await.unwrap();
    assert_eq!(client.job(&id).await.unwrap()["state"], "scheduled");
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    // Times of one clock, in one form: they sort as text.
    assert!(
        job["started_at"].as_str() >= job["run_at"].as_str(),
        "{job}"
    );
}

async fn the_kinds_are_listed(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let kinds = client.get("/v1/kinds").await.unwrap();
    assert_eq!(kinds.status, 200);
    for kind in ["command", "http", "sleep"] {
        assert!(
            kinds.text().contains(&format!("\"{kind}\"")),
            "{}",
            kinds.text()
        );
    }
}

async fn health_is_told(mode: Mode) {
    let mut deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let worker = match mode {
        Mode::Embedded => client.clone(),
        Mode::Distributed => client.at_worker(deployment.workers()[0].address()),
    };
    for client in [client, worker] {
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(client.get(path).await.unwrap().status, 200, "{path}");
        }
    }
}

async fn two_of_each_process_work_side_by_side(mode: Mode) {
    // The embedded mode has one process by its nature: there, twice as many jobs.
    let mut deployment = Plan::new(mode).processes(2, 2).start().await.unwrap();
    let first = deployment.client().unwrap();
    let second = first.at(deployment.apis().last().unwrap().address());
    let submission = json!({"kind": "sleep", "payload": {"ms": 50}});
    let mut ids = Vec::new();
    for number in 0..40 {
        let client = if number % 2 == 0 { &first } else { &second };
        ids.push(client.submit(&submission).await.unwrap());
    }
    for id in &ids {
        // Whoever accepted it, both know it.
        for client in [&first, &second] {
            let job = client.wait_for_end(id, SOON).await.unwrap();
            assert_eq!(job["state"], "succeeded");
            assert_eq!(
                job["attempt"], 1,
                "run once although two workers look: {job}"
            );
        }
    }
}
