//! One GET or POST over a bare socket: for waiting until a process is ready, and for `cargo xtask`,
//! without an HTTP client.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::Result;

const LIMIT: Duration = Duration::from_secs(5);

/// The status and the body that a path is answered with.
///
/// # Errors
/// Where nobody answers in time, or not in HTTP.
pub fn http_get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    exchange(address, &format!("GET {path}"), "", "")
}

/// The status and the body that a JSON body under an Idempotency-Key is answered with.
///
/// # Errors
/// As [`http_get`].
pub fn http_post(address: SocketAddr, path: &str, key: &str, body: &str) -> Result<(u16, String)> {
    let length = body.len();
    let fields = format!(
        "Content-Type: application/json\r\nContent-Length: {length}\r\nIdempotency-Key: {key}\r\n"
    );
    exchange(address, &format!("POST {path}"), &fields, body)
}

fn exchange(address: SocketAddr, target: &str, fields: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // HTTP/1.0: the body comes in one piece and ends with the connection.
    write!(
        stream,
        "{target} HTTP/1.0\r\nHost: {address}\r\n{fields}\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("the answer has no end of its head")?;
    let status = head
        .split(' ')
        .nth(1)
        .ok_or("the answer has no status")?
        .parse()?;
    Ok((status, body.to_owned()))
}
