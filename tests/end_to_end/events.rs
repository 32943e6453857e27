//! Events go on where they were.

use std::time::Duration;

use coatcheck_tests::{
    client::Client,
    deployment::{Mode, Plan},
};
use reqwest::{Method, Response};
use serde_json::json;
use tokio::time::timeout;

use crate::in_both_modes;

in_both_modes!(a_client_goes_on_where_it_was_after_a_kill);

const SOON: Duration = Duration::from_secs(30);

async fn follow(client: &Client, id: &str, last: Option<&str>) -> Response {
    let mut request = client.request(Method::GET, &format!("/v1/jobs/{id}/events"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let answer = client.open(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

/// What comes, up to the end of the stream or to the first that has `mark` in it.
async fn read(answer: &mut Response, mark: Option<&str>) -> String {
    let mut text = String::new();
    while let Some(piece) = timeout(SOON, answer.chunk()).await.unwrap().unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        if mark.is_some_and(|mark| text.contains(mark)) {
            break;
        }
    }
    text
}

async fn a_client_goes_on_where_it_was_after_a_kill(mode: Mode) {
    let mut deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 1}, "delay_s": 3600});
    let id = client.submit(&submission).await.unwrap();
    let mut answer = follow(&client, &id, None).await;
    let told = read(&mut answer, Some("\"scheduled\"")).await;
    let last = told.lines().find_map(|line| line.strip_prefix("id: "));
    let last = last.unwrap().to_owned();

    deployment.apis().remove(0).kill().unwrap();
    deployment.start_api().unwrap();
    let client = deployment.client().unwrap();
    let mut answer = follow(&client, &id, Some(&last)).await;
    let cancel = client.request(Method::POST, &format!("/v1/jobs/{id}/cancel"));
    let cancelled = client.send(cancel).await.unwrap();
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let told = read(&mut answer, None).await;
    assert_eq!(told.matches("event: ").count(), 1, "{told}");
    assert!(told.contains("\"state\":\"cancelled\""), "{told}");
}
