//! The rows about requests that are too large or too slow.

use std::time::Duration;

use crate::{client::Connection, service::Service};

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;
const POST: &str = "POST /v1/jobs HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_body_that_is_too_large_is_413_before_it_is_sent() {
    let service = Service::start_with("limits.body_bytes = 2000").await;
    let mut connection = Connection::open(service.address).await;
    connection
        .send(format!("{POST}content-length: 2001\r\n\r\n"))
        .await;
    let answer = connection.answer(false).await;
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
    assert_eq!(answer.json()["limit_bytes"], 2_000);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_body_without_a_length_is_counted() {
    let service = Service::start_with("limits.body_bytes = 2000").await;
    let mut connection = Connection::open(service.address).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    connection
        .send(format!(
            "{POST}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}"
        ))
        .await;
    let answer = connection.answer(false).await;
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let service = Service::start().await;
    let mut connection = Connection::open(service.address).await;
    connection
        .send(format!("{POST}transfer-encoding: chunked\r\n\r\n"))
        .await;
    for piece in SLEEP.as_bytes().chunks(7) {
        connection.send(format!("{:x}\r\n", piece.len())).await;
        connection.send(piece).await;
        connection.send("\r\n").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connection.send("0\r\n\r\n").await;
    assert_eq!(connection.answer(false).await.status, 202);
    // And the connection serves on.
    connection
        .send("GET /livez HTTP/1.1\r\nhost: test\r\n\r\n")
        .await;
    assert_eq!(connection.answer(false).await.status, 200);
}

#[tokio::test]
async fn the_largest_body_is_taken() {
    let service = Service::start_with("limits.body_bytes = 2000").await;
    let body = format!("{SLEEP}{}", " ".repeat(2_000 - SLEEP.len()));
    assert_eq!(service.post(&body).await.status, 202);
}

#[tokio::test]
async fn a_slow_head_or_body_is_408_and_the_end() {
    let service = Service::start_with("limits.request_s = 1").await;
    let mut body = Connection::open(service.address).await;
    body.send(format!("{POST}content-length: 35\r\n\r\n{{"))
        .await;
    let mut head = Connection::open(service.address).await;
    head.send("GET /livez HTTP/1.1\r\nhost:").await;
    let answer = body.answer(false).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (408, "request-timeout")
    );
    assert!(body.is_closed().await);
    let answer = head.answer(false).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (408, "request-timeout")
    );
    assert!(head.is_closed().await);
}

#[tokio::test]
async fn a_target_or_a_head_that_is_too_large_is_414_or_431() {
    let service = Service::start().await;
    let long = "x".repeat(9_000);
    let answer = service.get(&format!("/v1/jobs?cursor={long}")).await;
    assert_eq!((answer.status, &*answer.problem()), (414, "uri-too-long"));
    let head: String = (0..4)
        .map(|number| format!("x-{number}: {long}\r\n"))
        .collect();
    let answer = service.send("GET", "/livez", &head, "").await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (431, "headers-too-large")
    );
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_go_on() {
    let service = Service::start().await;
    let mut connection = Connection::open(service.address).await;
    let length = SLEEP.len();
    connection
        .send(format!(
            "{POST}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
    let interim = connection.answer_head().await;
    assert!(interim.starts_with("HTTP/1.1 100"), "{interim}");
    connection.send(SLEEP).await;
    assert_eq!(connection.answer(false).await.status, 202);
}

#[tokio::test]
async fn a_connection_serves_on_after_an_error() {
    let service = Service::start().await;
    let mut connection = Connection::open(service.address).await;
    for (request, status) in [
        ("GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n", 404),
        (
            "PUT /v1/jobs HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}",
            405,
        ),
        ("HEAD /v1/jobs HTTP/1.1\r\nhost: test\r\n\r\n", 200),
        ("GET /v1/jobs HTTP/1.1\r\nhost: test\r\n\r\n", 200),
    ] {
        connection.send(request).await;
        let answer = connection.answer(request.starts_with("HEAD")).await;
        assert_eq!(answer.status, status, "{request}");
        if answer.header("connection") == Some("close") {
            connection = Connection::open(service.address).await;
        }
    }
}
