//! What is refused, and how.

use coatcheck_tests::{
    client::Answer,
    deployment::{Mode, Plan},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(
    what_is_not_there_is_404,
    a_wrong_method_is_405_with_allow,
    what_cannot_be_understood_is_400_naming_each_field,
    another_media_type_is_415,
    a_body_over_the_limit_is_413,
);

/// Every refusal is a problem document of its status.
fn assert_problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.header("x-request-id").is_empty());
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert!(
        problem["type"].is_string() && problem["title"].is_string(),
        "{problem}"
    );
    problem
}

async fn what_is_not_there_is_404(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    for path in [
        "/",
        "/v2/jobs",
        "/v1/jobs/no-id",
        "/v1/jobs/0198c2f0-0000-7000-8000-000000000000",
        "/v1/jobs/0198c2f0-0000-7000-8000-000000000000/result",
    ] {
        assert_problem(&client.get(path).await.unwrap(), 404);
    }
}

async fn a_wrong_method_is_405_with_allow(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    for (method, path, allowed) in [
        (Method::PUT, "/v1/jobs", "POST"),
        (Method::POST, "/v1/kinds", "GET"),
        (Method::PATCH, "/livez", "GET"),
    ] {
        let request = client.request(method, path);
        let answer = client.send(request).await.unwrap();
        assert_problem(&answer, 405);
        assert!(answer.header("allow").contains(allowed), "{path}");
    }
}

async fn what_cannot_be_understood_is_400_naming_each_field(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    for (submission, pointers) in [
        (
            json!({"kind": "sleep", "payload": {"ms": "long"}}),
            vec!["/payload/ms"],
        ),
        (json!({"kind": "sleep", "payload": {}}), vec!["/payload"]),
        (json!({"kind": "no-such", "payload": {}}), vec!["/kind"]),
        (json!({"kind": "sleep"}), vec!["/payload"]),
        (
            json!({"kind": "sleep", "payload": {"ms": 1}, "max_attempts": 0, "delay_s": -1}),
            vec!["/max_attempts", "/delay_s"],
        ),
        (
            json!({"kind": "sleep", "payload": {"ms": 1}, "colour": "red"}),
            vec!["/colour"],
        ),
    ] {
        let problem = assert_problem(&client.post("/v1/jobs", &submission).await.unwrap(), 400);
        let named: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        for pointer in pointers {
            assert!(
                named.iter().any(|name| name.starts_with(pointer)),
                "{submission} should name {pointer}: {problem}"
            );
        }
    }
    let malformed = client
        .request(Method::POST, "/v1/jobs")
        .header("Content-Type", "application/json")
        .body("{\"kind\": ");
    assert_problem(&client.send(malformed).await.unwrap(), 400);
}

async fn another_media_type_is_415(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let request = client
        .request(Method::POST, "/v1/jobs")
        .header("Content-Type", "text/plain")
        .body("{}");
    let answer = client.send(request).await.unwrap();
    assert_problem(&answer, 415);
    assert!(answer.header("accept").contains("application/json"));
}

async fn a_body_over_the_limit_is_413(mode: Mode) {
    let deployment = Plan::new(mode)
        .set("COATCHECK_LIMITS__BODY_BYTES", 2_048)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission =
        json!({"kind": "sleep", "payload": {"ms": 1}, "metadata": {"a": "x".repeat(4_096)}});
    assert_problem(&client.post("/v1/jobs", &submission).await.unwrap(), 413);
}
