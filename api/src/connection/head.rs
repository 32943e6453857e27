//! Checking the head of a request (RFC 9112), before the framework sees it: whatever passes is
//! taken apart by the framework without a fault, and ends where this says that it ends.

use std::ops::Range;

use actix_web::http::Uri;
use httparse::{EMPTY_HEADER, Error, Header, Status};

use super::Refusal;
use crate::problem::ProblemType;

/// The longest target of a request.
const LONGEST_TARGET: usize = 8 * 1024;

/// How much all header fields of a request may take together.
const LARGEST_FIELDS: usize = 32 * 1024;

/// How many header fields the framework takes.
const MOST_FIELDS: usize = 96;

/// The longest request line: the target, and what stands around it.
const LONGEST_LINE: usize = LONGEST_TARGET + 64;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// As many bytes, perhaps none.
    Length(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunks,
    /// Everything to the end of the connection: so the framework reads what asks for WebSocket.
    Rest,
}

/// What a head says to its connection.
#[derive(Debug)]
pub(super) struct Head {
    /// What follows it.
    pub(super) body: Body,
    /// Where in it stands that the client waits for leave to send the body (RFC 9110 §10.1.1).
    pub(super) expectation: Option<Range<usize>>,
}

/// Refuses a head that has not come to its end and is too large already.
pub(super) fn check_part(part: &[u8]) -> Result<(), Refusal> {
    match memchr::memchr(b'\n', part) {
        None if part.len() > LONGEST_LINE => Err(target_too_long()),
        Some(line) if part.len() - line > LARGEST_FIELDS => Err(fields_too_large()),
        _ => Ok(()),
    }
}

/// Refuses a head that has not come to its end and is none already.
pub(super) fn check_beginning(part: &[u8]) -> Result<(), Refusal> {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    match httparse::Request::new(&mut fields).parse(part) {
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(error, part)),
    }
}

/// Checks a whole head, from its request line to its empty line.
pub(super) fn check(head: &[u8]) -> Result<Head, Refusal> {
    check_part(head)?;
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(Refusal::malformed("The head ends where it should not.")),
        Err(error) => return Err(unreadable(error, head)),
    }
    let method = request.method.unwrap_or_default();
    let line = check_line(method, request.path.unwrap_or_default());
    let checked = line.and_then(|()| {
        let framing = Framing::of(request.headers)?;
        let body = framing.body(request.version, method)?;
        Ok(Head {
            body,
            expectation: framing.expectation(request.version, head),
        })
    });
    checked.map_err(|refusal| Refusal {
        to_head: method == "HEAD",
        ..refusal
    })
}

fn check_line(method: &str, target: &str) -> Result<(), Refusal> {
    if target.len() > LONGEST_TARGET {
        return Err(target_too_long());
    }
    if method == "CONNECT" {
        return Err(Refusal::new(
            ProblemType::MethodNotImplemented,
            "This server is no tunnel.",
        ));
    }
    let is_of_a_form = match target.as_bytes().first() {
        Some(b'/') => true,
        Some(b'*') => target == "*" && method == "OPTIONS",
        _ => is_absolute(target),
    };
    // The framework's own opinion is asked only where there may be another.
    if is_of_a_form && (target.bytes().all(is_plain) || is_good_uri(target)) {
        return Ok(());
    }
    Err(Refusal::malformed(
        "The target of the request is neither a path nor a URL.",
    ))
}

fn is_absolute(target: &str) -> bool {
    let scheme = target.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    }) && is_good_uri(target)
}

fn is_good_uri(target: &str) -> bool {
    !target.contains('#') && target.parse::<Uri>().is_ok()
}

/// What every reader of a path or a query takes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~?=&%+,:@*!$'();".contains(&byte)
}

/// What the fields of a head say of where the request ends, and of whom it is for.
#[derive(Default)]
struct Framing<'a> {
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    expect: Option<&'a [u8]>,
    asks_for_websocket: bool,
}

impl<'a> Framing<'a> {
    fn of(fields: &[Header<'a>]) -> Result<Self, Refusal> {
        let mut framing = Self::default();
        for field in fields {
            let value = field.value;
            let before = match field.name.len() {
                6 if field.name.eq_ignore_ascii_case("expect") => framing.expect.replace(value),
                4 if field.name.eq_ignore_ascii_case("host") => framing.host.replace(value),
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    framing.length.replace(value)
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    framing.coding.replace(value)
                }
                7 if field.name.eq_ignore_ascii_case("upgrade") => {
                    framing.asks_for_websocket |= value.eq_ignore_ascii_case(b"websocket");
                    None
                }
                _ => None,
            };
            if before.is_some() {
                return Err(Refusal::malformed(
                    "Host, Content-Length, Transfer-Encoding and Expect may each be there once.",
                ));
            }
        }
        Ok(framing)
    }

    /// Where in the head the client says that it waits for leave to send the body. HTTP/1.0 does
    /// not know that.
    fn expectation(&self, version: Option<u8>, head: &[u8]) -> Option<Range<usize>> {
        let value = self.expect.filter(|_| version == Some(1))?;
        let waits = value
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(b"100-continue"));
        let begin = value.as_ptr().addr() - head.as_ptr().addr();
        waits.then_some(begin..begin + value.len())
    }

    fn body(&self, version: Option<u8>, method: &str) -> Result<Body, Refusal> {
        let is_1_0 = version == Some(0);
        match self.host {
            None if !is_1_0 => return Err(Refusal::malformed("A request needs a Host.")),
            Some(host) if !is_host(host) => {
                return Err(Refusal::malformed("The Host is not one."));
            }
            _ => {}
        }
        match (self.coding, self.length) {
            (Some(_), Some(_)) => Err(Refusal::malformed(
                "Content-Length and Transfer-Encoding contradict each other.",
            )),
            (Some(_), None) if is_1_0 => {
                Err(Refusal::malformed("HTTP/1.0 has no Transfer-Encoding."))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunks),
            (Some(_), None) => Err(Refusal::new(
                ProblemType::CodingNotImplemented,
                "The only Transfer-Encoding that this server reads is `chunked`.",
            )),
            (None, None) if is_1_0 && method == "POST" => Err(Refusal::malformed(
                "A POST of HTTP/1.0 needs a Content-Length.",
            )),
            (None, length) => {
                let length = length.map_or(Ok(0), body_length)?;
                Ok(if self.asks_for_websocket {
                    Body::Rest
                } else {
                    Body::Length(length)
                })
            }
        }
    }
}

fn body_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::malformed("The Content-Length is not a number."));
    }
    let length = str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    length.ok_or_else(|| {
        Refusal::new(
            ProblemType::BodyTooLarge,
            "No body is as large as this Content-Length says.",
        )
    })
}

/// Whether it is a host and perhaps a port (RFC 9110 §7.2), or nothing.
fn is_host(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    let is_port = |rest: &[u8]| match rest {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if value.first() == Some(&b'[') {
        let Some(end) = value.iter().position(|byte| *byte == b']') else {
            return false;
        };
        let (address, port) = value.split_at(end + 1);
        let inside = &address[1..end];
        return inside.iter().all(|byte| is_name(byte) || *byte == b':') && is_port(port);
    }
    let end = value.iter().position(|byte| *byte == b':');
    let (name, port) = value.split_at(end.unwrap_or(value.len()));
    name.iter().all(is_name) && is_port(port)
}

fn unreadable(error: Error, head: &[u8]) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::new(
            ProblemType::HeadersTooLarge,
            "A request may have 96 header fields.",
        ),
        Error::Version if names_a_version(head) => Refusal::new(
            ProblemType::VersionNotSupported,
            "This server speaks HTTP/1.1.",
        ),
        _ => Refusal::malformed("The request is not HTTP/1.1."),
    }
}

/// Whether a request line ends with a version of HTTP, such as HTTP/2.0.
fn names_a_version(head: &[u8]) -> bool {
    let line = head
        .split(|byte| *byte == b'\r')
        .find(|line| line.len() > 1);
    let words: Vec<&[u8]> = line.map_or_else(Vec::new, |line| {
        line.split(|byte| *byte == b' ').take(4).collect()
    });
    let [_, _, version] = words[..] else {
        return false;
    };
    version.strip_prefix(b"HTTP/").is_some_and(|version| {
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        !version.is_empty() && version.iter().all(is_part)
    })
}

fn target_too_long() -> Refusal {
    Refusal::over(
        ProblemType::UriTooLong,
        "The target of the request is too long.",
        LONGEST_TARGET,
    )
}

fn fields_too_large() -> Refusal {
    Refusal::over(
        ProblemType::HeadersTooLarge,
        "The header fields of the request are too large.",
        LARGEST_FIELDS,
    )
}
