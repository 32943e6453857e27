//! What is sent, and what is kept of the answer.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{call, call_here, handler, target::Target};
use crate::{context::Rehearsal, handler::Then, handlers::http::HttpHandler};

#[tokio::test]
async fn the_answer_of_a_slow_target_is_kept_whole() {
    let body = "x".repeat(1_000_000);
    let answer = format!(
        "HTTP/1.1 201 Created\r\nContent-Type: text/csv; charset=utf-8\r\nX-One: 1\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let target = Target::answering(answer, Duration::from_secs(5)).await;
    let start = Instant::now();
    let result = call_here(json!({"url": target.url("127.0.0.1")}))
        .await
        .unwrap();
    assert!(start.elapsed() >= Duration::from_secs(5));
    assert_eq!(result.status, Some(201));
    assert_eq!(result.content_type, "text/csv; charset=utf-8");
    assert!(result.body == body.as_bytes());
    let headers: Vec<(&str, &str)> = result
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn the_request_is_what_the_payload_says() {
    let target = Target::with("200 OK", "").await;
    let url = target.url("127.0.0.1");
    let payload =
        json!({"method": "PATCH", "url": url, "headers": {"X-Key": "k"}, "body": {"a": 1}});
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let rehearsal = Rehearsal::of::<HttpHandler>(&payload)
        .unwrap()
        .with_traceparent(parent);
    let result = rehearsal.run(&handler("http.allow_private = true")).await;
    assert_eq!(result.unwrap().content_type, "application/octet-stream");
    call_here(
        json!({"method": "POST", "url": url, "body": "plain", "headers":
        {"content-type": "text/x", "user-agent": "mine"}}),
    )
    .await
    .unwrap();
    call_here(json!({"url": url.replace("127", "me:secret@127")}))
        .await
        .unwrap();

    let requests = target.requests();
    assert!(requests[0].starts_with("patch /path?query=1 http/1.1\r\n"));
    assert!(requests[0].ends_with("\r\n\r\n{\"a\":1}"));
    for line in [
        "x-key: k".to_owned(),
        "content-type: application/json".to_owned(),
        format!("traceparent: {parent}"),
        format!("user-agent: coatcheck/{}", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(
            requests[0].lines().any(|found| found == line),
            "{line}: {}",
            requests[0]
        );
    }
    assert!(requests[1].ends_with("\r\n\r\nplain"));
    for line in ["content-type: text/x", "user-agent: mine"] {
        assert!(
            requests[1].lines().any(|found| found == line),
            "{line}: {}",
            requests[1]
        );
    }
    assert!(!requests[1].contains("traceparent"));
    assert!(requests[2].starts_with("get /path"));
    assert!(
        requests[2].contains("authorization: basic bwu6c2vjcmv0"),
        "{}",
        requests[2]
    );
}

#[tokio::test]
async fn errors_of_the_target_are_results() {
    for head in [
        "404 Not Found",
        "400 Bad Request",
        "500 Internal Server Error",
        "502 Bad Gateway",
    ] {
        let target = Target::with(head, "why").await;
        let result = call_here(json!({"url": target.url("127.0.0.1")}))
            .await
            .unwrap();
        assert_eq!(result.status.unwrap().to_string(), head[..3]);
        assert_eq!(result.body, "why");
    }
}

#[tokio::test]
async fn not_now_is_retried_when_the_target_says() {
    for (head, status, then) in [
        (
            "503 Service Unavailable\r\nRetry-After: 7",
            503,
            Then::RetryAfter(Duration::from_secs(7)),
        ),
        (
            "429 Too Many Requests\r\nRetry-After: 86400",
            429,
            Then::RetryAfter(Duration::from_secs(3_600)),
        ),
        ("503 Service Unavailable", 503, Then::Retry),
    ] {
        let target = Target::with(head, "later").await;
        let error = call_here(json!({"url": target.url("127.0.0.1")}))
            .await
            .unwrap_err();
        let (message, details, found) = error.into_parts();
        assert_eq!(found, then, "{head}");
        assert_eq!(details, Some(json!({"status": status})));
        assert!(message.contains(&head[..3]), "{message}");
    }
}

#[tokio::test]
async fn a_redirect_is_the_result_and_not_followed() {
    let inside = Target::with("200 OK", "secret").await;
    let head = format!("302 Found\r\nLocation: {}", inside.url("127.0.0.1"));
    let target = Target::with(&head, "").await;
    let result = call_here(json!({"url": target.url("127.0.0.1")}))
        .await
        .unwrap();
    assert_eq!(result.status, Some(302));
    assert!(
        result
            .headers
            .contains(&("location".to_owned(), inside.url("127.0.0.1")))
    );
    assert_eq!(inside.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn no_whole_answer_is_retried() {
    let slow = Target::answering("HTTP/1.1 200 OK\r\n\r\n", Duration::from_secs(60)).await;
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let broken = Target::answering(broken, Duration::ZERO).await;
    let nonsense = Target::answering("no answer\r\n\r\n", Duration::ZERO).await;
    let closed = Target::with("200 OK", "").await.url("127.0.0.1");
    for (url, part) in [
        (slow.url("127.0.0.1"), "in time"),
        (broken.url("127.0.0.1"), "broke off"),
        (nonsense.url("127.0.0.1"), "broke off"),
        (closed, "no connection"),
        (
            broken.url("127.0.0.1").replace("http:", "https:"),
            "no connection",
        ),
        (
            "http://no-such-name.invalid/?token=secret".to_owned(),
            "no connection",
        ),
    ] {
        let error = call_here(json!({"url": url, "timeout_s": 1}))
            .await
            .unwrap_err();
        let (message, _, then) = error.into_parts();
        assert_eq!(then, Then::Retry, "{url}: {message}");
        assert!(
            message.contains(part) && !message.contains("secret"),
            "{url}: {message}"
        );
    }
}

#[tokio::test]
async fn the_settings_limit_time_and_size() {
    let slow = Target::answering("", Duration::from_secs(60)).await;
    let hasty = handler("http = { allow_private = true, timeout_s = 1 }");
    let start = Instant::now();
    let error = call(&hasty, json!({"url": slow.url("127.0.0.1")}))
        .await
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "{error}");

    let small = handler("http.allow_private = true\nworker.result_bytes = 1000");
    let exact = Target::with("200 OK", &"x".repeat(1_000)).await;
    call(&small, json!({"url": exact.url("127.0.0.1")}))
        .await
        .unwrap();
    let said = Target::with("200 OK", &"x".repeat(1_001)).await;
    let unsaid = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_001));
    let unsaid = Target::answering(unsaid, Duration::ZERO).await;
    for target in [said, unsaid] {
        let error = call(&small, json!({"url": target.url("127.0.0.1")}))
            .await
            .unwrap_err();
        let (message, _, then) = error.into_parts();
        assert_eq!(then, Then::Fail);
        assert!(
            message.contains("COATCHECK_WORKER__RESULT_BYTES"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_cancellation_breaks_the_call_off() {
    let slow = Target::answering("", Duration::from_secs(60)).await;
    let payload = json!({"url": slow.url("127.0.0.1")});
    let rehearsal = Rehearsal::of::<HttpHandler>(&payload).unwrap();
    let handler = handler("http.allow_private = true");
    let start = Instant::now();
    let (outcome, ()) = tokio::join!(rehearsal.run(&handler), async {
        while slow.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        rehearsal.context().cancellation().cancel();
    });
    assert!(outcome.unwrap_err().to_string().contains("broken off"));
    assert!(start.elapsed() < Duration::from_secs(10));
}
