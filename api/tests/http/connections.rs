//! What is odd, ambiguous, slow or one too many on a connection. The table of malformed requests is
//! the end-to-end tests': `contract/malformed.rs`.

use crate::{client::Connection, service::Service};

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;

#[tokio::test]
async fn what_is_odd_and_right_is_served() {
    let service = Service::start().await;
    for (what, bytes, status) in [
        ("HTTP/1.0", "GET /livez HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("an absolute target", "GET http://x/livez?a=b HTTP/1.1\r\nhost: y\r\n\r\n".to_owned(), 200),
        ("empty lines before it", "\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 200),
        ("an empty Host", "GET /livez HTTP/1.1\r\nhost:\r\n\r\n".to_owned(), 200),
        ("an address as Host", "GET /livez HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n".to_owned(), 200),
        ("OPTIONS of the server", "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 204),
        ("an upgrade", "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\r\n".to_owned(), 200),
        ("a WebSocket", "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".to_owned(), 200),
        ("extensions and trailers of chunks", format!("POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: Chunked\r\n\r\n23;a=\"b\"\r\n{SLEEP}\r\n0\r\nx: y\r\n\r\n"), 202),
        ("umlauts in a field", "GET /livez HTTP/1.1\r\nhost: x\r\na: \u{fc}\r\n\r\n".to_owned(), 200),
    ] {
        let mut connection = Connection::open(service.address).await;
        connection.send(bytes).await;
        let answer = connection.answer(false).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let service = Service::start().await;
    let mut connection = Connection::open(service.address).await;
    let mut sent = String::new();
    for number in 0..50 {
        sent.push_str(&format!("POST /v1/jobs HTTP/1.1\r\nhost: x\r\nx-request-id: p{number}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{SLEEP}", SLEEP.len()));
        sent.push_str(&format!(
            "HEAD /livez HTTP/1.1\r\nhost: x\r\nx-request-id: h{number}\r\n\r\n"
        ));
    }
    connection.send(sent).await;
    for number in 0..50 {
        let answer = connection.answer(false).await;
        assert_eq!(
            (answer.status, answer.header("x-request-id")),
            (202, Some(&*format!("p{number}")))
        );
        let answer = connection.answer(true).await;
        assert_eq!(
            (answer.status, answer.header("x-request-id")),
            (200, Some(&*format!("h{number}")))
        );
    }
}

/// The second reader of these bytes (a proxy, say) must not find another request in them.
#[tokio::test]
async fn nothing_is_smuggled_behind_an_ambiguous_request() {
    let service = Service::start().await;
    let inner = format!(
        "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{SLEEP}",
        SLEEP.len()
    );
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\ncontent-length: 4\r\n",
        "content-length: 0\r\ncontent-length: 4\r\n",
        "transfer-encoding:\u{b}chunked\r\ncontent-length: 4\r\n",
    ] {
        let mut connection = Connection::open(service.address).await;
        connection
            .send(format!(
                "POST /v1/jobs HTTP/1.1\r\nhost: x\r\n{fields}\r\n0\r\n\r\n{inner}"
            ))
            .await;
        let answer = connection.answer(false).await;
        assert!(matches!(answer.status, 400 | 501), "{fields}: {answer:?}");
        assert!(connection.is_closed().await, "{fields}");
    }
    assert_eq!(
        service.get("/v1/jobs").await.json()["items"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[tokio::test]
async fn a_head_has_its_time_on_every_request_of_a_connection() {
    let service = Service::start_with("limits.request_s = 1").await;
    let mut connection = Connection::open(service.address).await;
    connection
        .send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nho")
        .await;
    assert_eq!(connection.answer(false).await.status, 200);
    let answer = connection.answer(false).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (408, "request-timeout")
    );
    assert!(connection.is_closed().await);
    let mut silent = Connection::open(service.address).await;
    assert!(silent.is_closed().await, "without a word");
    let mut empty = Connection::open(service.address).await;
    empty.send("\r\n").await;
    assert!(empty.is_closed().await, "an empty line is no request");
}

#[tokio::test]
async fn the_connection_beyond_the_limit_is_told_so() {
    let service = Service::start_with("limits.connections = 2").await;
    let mut within = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(service.address).await;
        connection
            .send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        assert_eq!(connection.answer(false).await.status, 200);
        within.push(connection);
    }
    let answer = service.get("/v1/jobs").await;
    assert_eq!((answer.status, &*answer.problem()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("connection"), Some("close"));
    let health = service.get("/livez").await;
    assert_eq!(
        (health.status, health.header("connection")),
        (200, Some("close"))
    );
    within.pop();
    while service.get("/v1/jobs").await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut first = within.pop().unwrap();
    first.send("GET /v1/jobs HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(first.answer(false).await.status, 200, "whoever is in stays");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let service = Service::start_with("limits.idle_s = 1").await;
    let mut connection = Connection::open(service.address).await;
    connection
        .send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    let answer = connection.answer(false).await;
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    assert!(connection.is_closed().await);
}
