//! The rows about clients that wait for leave to send a body (RFC 9110 §10.1.1), and those that do
//! not take what they have asked for.

use std::time::{Duration, Instant};

use coatcheck_shared::job::JobResult;
use tokio::io::AsyncReadExt;

use crate::{client::Connection, service::Service};

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const JSON: &str = "content-type: application/json\r\n";
const KEY: &str = "authorization: Bearer a-key-of-the-operator\r\n";
const SETTINGS: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-of-the-operator\"\n\
                        limits.body_bytes = 2000";

fn head(line: &str, fields: &str, length: usize) -> String {
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nExpect: 100-Continue\r\ncontent-length: {length}\r\n{fields}\r\n"
    )
}

#[tokio::test]
async fn a_body_that_will_be_read_is_asked_for() {
    let service = Service::start_with(SETTINGS).await;
    let mut connection = Connection::open(service.address).await;
    // On one connection, also behind another request.
    for before in ["", "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let head = head("POST /v1/jobs", &format!("{KEY}{JSON}"), SLEEP.len());
        connection.send(format!("{before}{head}")).await;
        if !before.is_empty() {
            assert_eq!(connection.answer(false).await.status, 200);
        }
        let mut leave = [0; CONTINUE.len()];
        connection.stream.read_exact(&mut leave).await.unwrap();
        assert_eq!(str::from_utf8(&leave).unwrap(), CONTINUE);
        connection.send(SLEEP).await;
        let answer = connection.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (202, None));
    }
    // One that does not wait for it either gets it before its answer, or not at all.
    connection
        .send(head("POST /v1/jobs", &format!("{KEY}{JSON}"), SLEEP.len()) + SLEEP)
        .await;
    let mut begin = [0; CONTINUE.len()];
    connection.stream.read_exact(&mut begin).await.unwrap();
    let begin = str::from_utf8(&begin).unwrap();
    assert!(
        begin == CONTINUE || begin.starts_with("HTTP/1.1 202 "),
        "{begin}"
    );
}

#[tokio::test]
async fn what_the_head_alone_decides_is_answered_before_any_body() {
    let service = Service::start_with(SETTINGS).await;
    let post = "POST /v1/jobs";
    for (line, fields, length, status) in [
        (post, format!("{KEY}{JSON}"), 2_001, 413),
        (post, format!("{KEY}content-type: text/plain\r\n"), 9, 415),
        (
            post,
            format!("{KEY}{JSON}content-encoding: gzip\r\n"),
            9,
            415,
        ),
        (post, format!("{KEY}{JSON}{JSON}"), 9, 400),
        (post, JSON.to_owned(), 9, 401),
        ("POST /v1/nothing", String::new(), 9, 404),
        ("PUT /v1/jobs", String::new(), 9, 405),
        (
            "POST /v1/jobs/batch",
            format!("{KEY}content-type: a/b\r\n"),
            9,
            415,
        ),
        (
            "POST /v1/jobs?kind=sleep",
            format!("{KEY}content-type: a/b\r\n"),
            9,
            415,
        ),
        ("POST /v1/jobs/x/cancel", KEY.to_owned(), 9, 404),
    ] {
        let mut connection = Connection::open(service.address).await;
        connection.send(head(line, &fields, length)).await;
        let answer = connection.answer(false).await;
        assert_eq!(answer.status, status, "{line} {fields}: {answer:?}");
        // Whether the body still comes is the client's choice.
        assert_eq!(answer.header("connection"), Some("close"), "{line}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let service = Service::start_with("limits.stalled_s = 1\nlimits.connections = 1").await;
    let id = large_result(&service).await;
    let mut stalled = Connection::open(service.address).await;
    stalled
        .send(format!(
            "GET /v1/jobs/{id}/result HTTP/1.1\r\nhost: x\r\n\r\n"
        ))
        .await;
    assert!(stalled.answer_head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(
        service.get("/v1/jobs").await.status,
        503,
        "it holds the only place"
    );
    let began = Instant::now();
    while service.get("/v1/jobs").await.status != 200 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it is held for ever"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut rest = Vec::new();
    // An end or a reset, as it comes.
    let _ = stalled.stream.read_to_end(&mut rest).await;
    assert!(rest.len() < LARGE, "{}", rest.len());
}

#[tokio::test]
async fn a_client_that_is_slow_gets_all_of_it() {
    let service = Service::start_with("limits.stalled_s = 1").await;
    let id = large_result(&service).await;
    let mut slow = Connection::open(service.address).await;
    slow.send(format!(
        "GET /v1/jobs/{id}/result HTTP/1.1\r\nhost: x\r\n\r\n"
    ))
    .await;
    slow.answer_head().await;
    let mut piece = vec![0; LARGE / 16];
    for _ in 0..16 {
        slow.stream.read_exact(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// More than what all buffers between the two ends hold.
const LARGE: usize = 32 * 1024 * 1024;

/// A job with a result that is as large as that.
async fn large_result(service: &Service) -> coatcheck_shared::job::JobId {
    let id = service.submit("").await;
    let result = JobResult::new("application/octet-stream", vec![b'x'; LARGE]);
    service.succeed(id, result).await;
    id
}
