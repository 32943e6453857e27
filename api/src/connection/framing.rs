//! Which bytes of a connection belong to what: heads, which are checked, and bodies, which are
//! let through.

use std::ops::Range;

use super::{
    Refusal,
    chunks::{Chunks, Progress},
    head::{self, Body, Head},
};

/// How many empty lines may stand before a request (RFC 9112 §2.2).
const MOST_EMPTY_LINES: usize = 4;

/// What comes next.
#[derive(Debug)]
enum Next {
    Head(HeadSoFar),
    Body(u64),
    Chunks(Chunks),
    /// Whatever comes is not looked at any more.
    Rest,
}

/// A head that has not come to its end.
#[derive(Debug, Default)]
struct HeadSoFar {
    /// How much of it has been searched for its end.
    searched: usize,
    /// Once it is this long, its beginning is looked at again. It doubles, so that a head that
    /// comes in many pieces is not read as often.
    look_again: usize,
}

/// What becomes of bytes that have come in.
#[derive(Debug)]
pub(super) struct Passage {
    /// How many of them may pass.
    pub(super) pass: usize,
    /// How many requests begin in these.
    pub(super) requests: u64,
    /// Where in them stands that a client waits for leave to send its body.
    pub(super) expectation: Option<Range<usize>>,
    /// What of the rest.
    pub(super) rest: Rest,
}

/// What becomes of bytes that may not pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There are none.
    None,
    /// They begin a head, and are to be shown again with what follows.
    PartOfHead,
    /// They may not begin a request yet, and are to be shown again when one may.
    NotYet,
    /// They are no request.
    Refused(Refusal),
    /// They were to be the body of the last request, and are not.
    BrokenBody(Refusal),
}

impl Rest {
    /// Whether the bytes are to be kept.
    pub(super) fn is_to_be_shown_again(&self) -> bool {
        matches!(self, Self::PartOfHead | Self::NotYet)
    }
}

/// Where a connection is.
#[derive(Debug)]
pub(super) struct Framing(Next);

impl Framing {
    /// Before the first request.
    pub(super) fn new() -> Self {
        Self(Next::Head(HeadSoFar::default()))
    }

    /// Whether a body is on its way.
    pub(super) fn is_in_body(&self) -> bool {
        matches!(self.0, Next::Body(_) | Next::Chunks(_))
    }

    /// Looks at bytes that have come in; those that were left over stand before them. At most one
    /// request begins in them, and only where it `may_begin`.
    pub(super) fn advance(&mut self, bytes: &[u8], may_begin: bool) -> Passage {
        let mut pass = 0;
        let mut requests = 0;
        let mut expectation = None;
        let rest = loop {
            let left = &bytes[pass..];
            if left.is_empty() {
                break Rest::None;
            }
            match &mut self.0 {
                Next::Head(_) if requests > 0 || !may_begin => break Rest::NotYet,
                Next::Head(so_far) => match so_far.find_end(left) {
                    Ok(None) => break Rest::PartOfHead,
                    Ok(Some((length, head))) => {
                        expectation = head
                            .expectation
                            .map(|place| pass + place.start..pass + place.end);
                        pass += length;
                        requests += 1;
                        self.0 = Next::after(head.body);
                    }
                    Err(refusal) => {
                        self.0 = Next::Rest;
                        break Rest::Refused(refusal);
                    }
                },
                Next::Body(length) => {
                    let available = left.len() as u64;
                    if *length > available {
                        *length -= available;
                        pass = bytes.len();
                    } else {
                        // It fits into `available`, which is a length.
                        pass += usize::try_from(*length).unwrap_or(left.len());
                        self.0 = Next::Head(HeadSoFar::default());
                    }
                }
                Next::Chunks(chunks) => match chunks.follow(left) {
                    Progress::GoesOn => pass = bytes.len(),
                    Progress::Ended(length) => {
                        pass += length;
                        self.0 = Next::Head(HeadSoFar::default());
                    }
                    Progress::Broken(length, why) => {
                        pass += length;
                        self.0 = Next::Rest;
                        break Rest::BrokenBody(why);
                    }
                },
                Next::Rest => pass = bytes.len(),
            }
        };
        Passage {
            pass,
            requests,
            expectation,
            rest,
        }
    }
}

impl Next {
    fn after(body: Body) -> Self {
        match body {
            Body::Length(0) => Self::Head(HeadSoFar::default()),
            Body::Length(length) => Self::Body(length),
            Body::Chunks => Self::Chunks(Chunks::new()),
            Body::Rest => Self::Rest,
        }
    }
}

impl HeadSoFar {
    /// The head and where it ends, once it is all there.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<(usize, Head)>, Refusal> {
        let start = skip_empty_lines(bytes)?;
        for feed in memchr::memchr_iter(b'\n', &bytes[self.searched..]) {
            let feed = self.searched + feed;
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(Refusal::malformed(
                    "A line ends with a line feed alone: CR LF is needed.",
                ));
            }
            if feed > start && bytes[start..feed].ends_with(b"\r\n\r") {
                let end = feed + 1;
                let mut head = head::check(&bytes[start..end])?;
                if let Some(place) = &mut head.expectation {
                    *place = place.start + start..place.end + start;
                }
                return Ok(Some((end, head)));
            }
        }
        self.searched = bytes.len();
        let part = &bytes[start..];
        head::check_part(part)?;
        if part.len() >= self.look_again {
            head::check_beginning(part)?;
            self.look_again = part.len() * 2;
        }
        Ok(None)
    }
}

fn skip_empty_lines(bytes: &[u8]) -> Result<usize, Refusal> {
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    if start > 2 * MOST_EMPTY_LINES {
        return Err(Refusal::malformed("Only empty lines come."));
    }
    Ok(start)
}
