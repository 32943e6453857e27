//! Requests that break HTTP itself, over a bare socket: each is answered with a problem, in its
//! turn, and ends its connection.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;

/// A good request, to be answered before the malformed one.
const GOOD: &str = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

/// How long an answer and the end of the connection may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What is sent, and the status and problem that it is answered with.
type Row = (&'static str, String, u16, &'static str);

/// Tries every row. How many there are, and what is wrong.
pub(super) fn check(address: SocketAddr) -> (usize, Vec<String>) {
    let rows = rows();
    let mut failed = Vec::new();
    for (what, bytes, status, problem) in &rows {
        // Whole, after a good request, and in pieces: it is the same.
        for (before, piece) in [("", usize::MAX), (GOOD, usize::MAX), ("", 7)] {
            let sent = format!("{before}{bytes}");
            let said = exchange(address, sent.as_bytes(), piece);
            let answers = if before.is_empty() { 1 } else { 2 };
            let fault = said.and_then(|said| check_answer(&said, answers, *status, problem));
            if let Err(fault) = fault {
                failed.push(format!(
                    "{what} (after {} bytes, in pieces of {piece}): {fault}",
                    before.len()
                ));
                break;
            }
        }
    }
    (rows.len(), failed)
}

/// All that the server says until it closes the connection.
fn exchange(address: SocketAddr, bytes: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let fault = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(fault)?;
    stream.set_nodelay(true).map_err(fault)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(fault)?;
    for part in bytes.chunks(piece.min(bytes.len())) {
        // What comes after the refusal may find nobody.
        if stream.write_all(part).is_err() {
            break;
        }
    }
    let mut said = Vec::new();
    stream.read_to_end(&mut said).map_err(fault)?;
    Ok(said)
}

/// The last of so many answers, and no other after it.
fn check_answer(said: &[u8], answers: usize, status: u16, problem: &str) -> Result<(), String> {
    let said = String::from_utf8_lossy(said);
    if said.matches("HTTP/1.1 ").count() != answers {
        return Err(format!("{answers} answers were to come: {said}"));
    }
    let last = said.rfind("HTTP/1.1 ").unwrap_or_default();
    let (head, body) = said[last..]
        .split_once("\r\n\r\n")
        .ok_or("no end of the head")?;
    let head = head.to_lowercase();
    let body: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {said}"))?;
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .ok_or_else(|| format!("no {name}: {head}"))
    };
    let is_right = head.starts_with(&format!("http/1.1 {status} "))
        && body["status"] == status
        && body["type"] == format!("/problems/{problem}")
        && field("content-type")? == "application/problem+json"
        && field("cache-control")? == "no-store"
        && field("connection")? == "close"
        && body["instance"] == field("x-request-id")?
        && !field("date")?.is_empty();
    if is_right {
        Ok(())
    } else {
        Err(said.into_owned())
    }
}

/// What is sent, and the status and problem that it is answered with.
fn rows() -> Vec<Row> {
    let post = "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let malformed = |what, bytes: &str| (what, bytes.to_owned(), 400, "malformed-request");
    let body = |fields: &str, body: &str| format!("{post}{fields}\r\n{body}");
    let mut rows = vec![
        malformed("garbage", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"),
        malformed("no HTTP at all", "hello\r\n\r\n"),
        malformed("HTTP/0.9", "GET /\r\n\r\n"),
        malformed("no Host", "GET /livez HTTP/1.1\r\n\r\n"),
        malformed(
            "two Hosts",
            "GET /livez HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        ),
        malformed("a bad Host", "GET /livez HTTP/1.1\r\nhost: a/b\r\n\r\n"),
        malformed("a bare LF", "GET /livez HTTP/1.1\nhost: x\n\n"),
        malformed(
            "a bare LF between fields",
            "GET /livez HTTP/1.1\r\nhost: x\nx: y\r\n\r\n",
        ),
        malformed(
            "a bare CR",
            "GET /livez HTTP/1.1\r\nhost: x\r\na: b\rc\r\n\r\n",
        ),
        malformed(
            "a folded field",
            "GET /livez HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
        ),
        malformed(
            "a space before the colon",
            "GET /livez HTTP/1.1\r\nhost : x\r\n\r\n",
        ),
        malformed(
            "NUL in a field",
            "GET /livez HTTP/1.1\r\nhost: x\r\na: b\0\r\n\r\n",
        ),
        malformed(
            "NUL in the target",
            "GET /li\0vez HTTP/1.1\r\nhost: x\r\n\r\n",
        ),
        malformed(
            "a space in the target",
            "GET /li vez HTTP/1.1\r\nhost: x\r\n\r\n",
        ),
        malformed("a fragment", "GET /livez#x HTTP/1.1\r\nhost: x\r\n\r\n"),
        malformed(
            "a target of no form",
            "GET livez HTTP/1.1\r\nhost: x\r\n\r\n",
        ),
        malformed(
            "a field without a name",
            "GET /livez HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n",
        ),
        malformed("only empty lines", &"\r\n".repeat(20)),
        malformed(
            "two lengths",
            &body("content-length: 35\r\ncontent-length: 36\r\n", SLEEP),
        ),
        malformed(
            "the same length twice",
            &body("content-length: 35\r\ncontent-length: 35\r\n", SLEEP),
        ),
        malformed(
            "a list of lengths",
            &body("content-length: 35, 35\r\n", SLEEP),
        ),
        malformed("a signed length", &body("content-length: +35\r\n", SLEEP)),
        malformed("an empty length", &body("content-length:\r\n", SLEEP)),
        malformed(
            "a length and chunks",
            &body(
                "content-length: 35\r\ntransfer-encoding: chunked\r\n",
                SLEEP,
            ),
        ),
        malformed(
            "chunks and a length",
            &body(
                "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
                "0\r\n\r\n",
            ),
        ),
        malformed(
            "two codings",
            &body(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        malformed(
            "a chunk's size that is none",
            &body("transfer-encoding: chunked\r\n", "xyz\r\n"),
        ),
        malformed(
            "a negative chunk",
            &body("transfer-encoding: chunked\r\n", "-1\r\n"),
        ),
        malformed(
            "a chunk longer than it says",
            &body("transfer-encoding: chunked\r\n", "2\r\nabc\r\n"),
        ),
        malformed(
            "a bare LF after a chunk's size",
            &body("transfer-encoding: chunked\r\n", "2\nab\r\n"),
        ),
        malformed(
            "a chunk's size over 64 bits",
            &body("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\n"),
        ),
        malformed(
            "chunks in HTTP/1.0",
            "POST /v1/jobs HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        malformed(
            "a POST of HTTP/1.0 without a length",
            "POST /v1/jobs HTTP/1.0\r\n\r\n",
        ),
    ];
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    for (what, bytes, status, problem) in [
        (
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            505,
            "version-not-supported",
        ),
        (
            "HTTP/3",
            "GET / HTTP/3\r\nhost: x\r\n\r\n".to_owned(),
            505,
            "version-not-supported",
        ),
        (
            "another coding",
            body("transfer-encoding: gzip, chunked\r\n", ""),
            501,
            "coding-not-implemented",
        ),
        (
            "a coding that is none",
            body("transfer-encoding: identity\r\n", ""),
            501,
            "coding-not-implemented",
        ),
        (
            "a tunnel",
            "CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            501,
            "method-not-implemented",
        ),
        (
            "a length over 64 bits",
            body("content-length: 99999999999999999999\r\n", ""),
            413,
            "body-too-large",
        ),
        (
            "a target too long",
            format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(9_000)),
            414,
            "uri-too-long",
        ),
        (
            "a target without end",
            format!("GET /{}", "a".repeat(9_000)),
            414,
            "uri-too-long",
        ),
        (
            "fields too large",
            format!(
                "GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n",
                "b".repeat(40_000)
            ),
            431,
            "headers-too-large",
        ),
        (
            "fields without end",
            format!("GET / HTTP/1.1\r\nhost: x\r\na: {}", "b".repeat(40_000)),
            431,
            "headers-too-large",
        ),
        (
            "too many fields",
            format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
            431,
            "headers-too-large",
        ),
    ] {
        rows.push((what, bytes, status, problem));
    }
    rows
}
