//! What is never sent.

use serde_json::json;

use super::{call, call_here, handler, target::Target};
use crate::handler::Then;

#[tokio::test]
async fn private_addresses_are_refused_by_name_and_by_number() {
    let target = Target::with("200 OK", "secret").await;
    let guarded = handler("");
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "localhost",
        "LOCALHOST",
    ] {
        let error = call(&guarded, json!({"url": target.url(host)}))
            .await
            .unwrap_err();
        let (message, _, then) = error.into_parts();
        assert_eq!(then, Then::Fail, "{host}: {message}");
        assert!(
            message.contains("COATCHECK_HTTP__ALLOW_PRIVATE"),
            "{host}: {message}"
        );
    }
    assert_eq!(target.requests(), Vec::<String>::new());

    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let result = call_here(json!({"url": target.url(host)})).await.unwrap();
        assert_eq!(result.body, "secret", "{host}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_given_up_and_named() {
    let url = "http://127.0.0.1:1/";
    for (payload, part) in [
        (json!({"url": "ftp://127.0.0.1/"}), "begins with ftp"),
        (json!({"url": "nothing"}), "the url cannot be read"),
        (
            json!({"url": url, "method": "GE T"}),
            "\"GE T\" is no method",
        ),
        (json!({"url": url, "method": "CONNECT"}), "CONNECT"),
        (
            json!({"url": url, "headers": {"a b": "c"}}),
            "\"a b\" is no name",
        ),
        (
            json!({"url": url, "headers": {"x-a": "b\r\nx-c: secret"}}),
            "x-a",
        ),
        (
            json!({"url": url, "headers": {"Transfer-Encoding": "chunked"}}),
            "transfer-encoding",
        ),
        (
            json!({"url": url, "headers": {"Content-Length": "1"}}),
            "content-length",
        ),
        (json!({"url": url, "unknown": 1}), "unknown"),
    ] {
        let (message, _, then) = call_here(payload.clone()).await.unwrap_err().into_parts();
        assert_eq!(then, Then::Fail, "{payload}: {message}");
        assert!(
            message.contains(part) && !message.contains("secret"),
            "{payload}: {message}"
        );
    }
}
