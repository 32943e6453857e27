//! The rows about `unique`.

use std::time::Duration;

use coatcheck_shared::job::{JobId, JobResult};

use crate::{
    client::Answer,
    service::{Service, id_of},
};

async fn post(service: &Service, unique: &str) -> Answer {
    let body = format!("{{\"kind\":\"sleep\",\"payload\":{{\"ms\":1}},\"unique\":{unique}}}");
    service.post(&body).await
}

async fn accepted(service: &Service, unique: &str) -> JobId {
    let answer = post(service, unique).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    id_of(&answer.json())
}

async fn assert_held(service: &Service, unique: &str, by: JobId) {
    let answer = post(service, unique).await;
    assert_eq!((answer.status, &*answer.problem()), (409, "job-exists"));
    assert_eq!(answer.json()["existing_job"], format!("/v1/jobs/{by}"));
}

async fn state(service: &Service, id: JobId) -> String {
    let job = service.get(&format!("/v1/jobs/{id}")).await.json();
    job["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_held_while_its_job_is_active() {
    let service = Service::start().await;
    for unique in [
        r#"{"key":"report"}"#,
        r#"{"key":"other","mode":"while_active"}"#,
        r#"{"key":"third","mode":null,"window_s":null}"#,
    ] {
        let first = accepted(&service, unique).await;
        assert_held(&service, unique, first).await;
        let running = service.claim(first).await;
        assert_held(&service, unique, first).await;
        let result = JobResult::new("text/plain", "done");
        let outcome = coatcheck_shared::job::Outcome::Succeeded(result);
        service.finish(&running, outcome).await;
        assert_ne!(accepted(&service, unique).await, first);
    }
}

#[tokio::test]
async fn a_window_outlives_its_job_and_ends() {
    let service = Service::start().await;
    let unique = r#"{"key":"digest","mode":"window","window_s":1}"#;
    let first = accepted(&service, unique).await;
    service
        .succeed(first, JobResult::new("text/plain", ""))
        .await;
    assert_held(&service, unique, first).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    accepted(&service, unique).await;
}

#[tokio::test]
async fn a_waiting_job_is_replaced_and_whoever_waits_for_it_is_told() {
    let service = Service::start().await;
    let unique = r#"{"key":"index","mode":"replace"}"#;
    let first = accepted(&service, unique).await;
    let path = format!("/v1/jobs/{first}");
    let waiting = service.send("GET", &path, "prefer: wait=30\r\n", "");
    let replacing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        accepted(&service, unique).await
    };
    let (told, second) = tokio::join!(waiting, replacing);
    assert_eq!(told.json()["state"], "cancelled");
    assert_eq!(state(&service, second).await, "queued");
    service.claim(second).await;
    assert_held(&service, unique, second).await;
    assert_eq!(state(&service, second).await, "running");
}

#[tokio::test]
async fn a_wrong_unique_is_named_member_by_member() {
    let service = Service::start().await;
    let long = format!("{{\"key\":\"{}\"}}", "k".repeat(256));
    for (unique, pointers) in [
        ("1", &["/unique"][..]),
        ("{}", &["/unique/key"]),
        (r#"{"key":""}"#, &["/unique/key"]),
        (
            r#"{"key":7,"mode":"once"}"#,
            &["/unique/key", "/unique/mode"],
        ),
        (r#"{"key":"a\u0000","x":1}"#, &["/unique/key", "/unique/x"]),
        (&long, &["/unique/key"]),
        (r#"{"key":"a","mode":"window"}"#, &["/unique/window_s"]),
        (r#"{"key":"a","window_s":5}"#, &["/unique/window_s"]),
        (
            r#"{"key":"a","mode":"window","window_s":0}"#,
            &["/unique/window_s"],
        ),
        (
            r#"{"key":"a","mode":"replace","window_s":5}"#,
            &["/unique/window_s"],
        ),
    ] {
        let answer = post(&service, unique).await;
        assert_eq!(answer.status, 400, "{unique}");
        assert_eq!(answer.pointers(), pointers, "{unique}");
    }
    assert_eq!(post(&service, "null").await.status, 202);
}
