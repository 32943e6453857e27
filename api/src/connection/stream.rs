//! A connection whose requests are checked on their way to the framework.

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Connection, Connections, Invitation, Place, Refusal,
    framing::{Framing, Passage, Rest},
    outgoing::Outgoing,
};
use crate::problem::ProblemType;

/// How long a client may take to read the answer to what was refused: closing while its bytes
/// still come would take the answer from it.
const LINGER: Duration = Duration::from_secs(5);

/// How long one connection too many may take over its request.
const PATIENCE_WITH_TOO_MANY: Duration = Duration::from_secs(5);

/// By how much a body may be later than whoever reads it lets it be.
const GRACE: Duration = Duration::from_secs(1);

/// How much is read and thrown away at once.
const DISCARDED_AT_ONCE: usize = 4 * 1024;

/// What the framework gets in the place of what was refused: it is answered with the refusal.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
const STAND_IN_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Over the head of a request, and over its body.
    pub(crate) request: Duration,
    /// Until it takes something of an answer that is ready.
    pub(crate) stalled: Duration,
}

/// A TCP connection of which the framework sees only well-formed requests.
pub(crate) struct CheckedStream {
    io: TcpStream,
    connection: Rc<Connection>,
    framing: Framing,
    /// What the framework has not got yet: first what may pass, then the part of a head.
    held: Vec<u8>,
    /// How much of `held` may pass.
    cleared: usize,
    /// Whether the rest of `held` may be looked at only when the last request has been answered.
    waits_for_its_turn: bool,
    state: State,
    /// How long the head or body that is on its way may take.
    deadline: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    outgoing: Outgoing,
    _place: Place,
}

/// What is read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Requests; there has been none.
    Fresh,
    /// Requests.
    Serving,
    /// Nothing any more: the answer that ends it is under way.
    Refused,
    /// Nothing any more: the framework is told that the client has ended.
    Broken,
    /// Everything, to be thrown away, so that the client gets to read the answer.
    Lingering,
}

impl CheckedStream {
    /// A connection just accepted, and how long its client may take.
    pub(crate) fn new(io: TcpStream, connections: &Connections, times: Times) -> Self {
        let place = connections.enter();
        let patience = if place.is_too_many {
            times.request.min(PATIENCE_WITH_TOO_MANY)
        } else {
            times.request
        };
        Self {
            io,
            connection: Rc::new(Connection {
                is_too_many: place.is_too_many,
                ..Connection::default()
            }),
            framing: Framing::new(),
            held: Vec::new(),
            cleared: 0,
            waits_for_its_turn: false,
            state: State::Fresh,
            deadline: None,
            patience,
            outgoing: Outgoing::new(times.stalled),
            _place: place,
        }
    }

    /// What is known of it where its requests are answered.
    pub(crate) fn connection(&self) -> Rc<Connection> {
        self.connection.clone()
    }

    /// Gives the framework what may pass.
    fn release(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.cleared.min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.cleared -= length;
        self.held.drain(..length);
        if self.held.is_empty() {
            // An idle connection keeps no memory.
            self.held = Vec::new();
        }
    }

    /// Looks at what has come into the buffer behind `begin`, and leaves there what may pass.
    fn sift(&mut self, buffer: &mut ReadBuf<'_>, begin: usize) {
        if !self.held.is_empty() {
            self.held.extend_from_slice(&buffer.filled()[begin..]);
            buffer.set_filled(begin);
            return self.sift_held();
        }
        let new = &mut buffer.filled_mut()[begin..];
        let may_begin = !self.connection.is_answering();
        let passage = self.framing.advance(new, may_begin);
        hide_expectation(new, &passage);
        if passage.rest.is_to_be_shown_again() {
            self.held.extend_from_slice(&new[passage.pass..]);
        }
        buffer.set_filled(begin + passage.pass);
        self.note(passage);
    }

    /// Looks at what has been held back.
    fn sift_held(&mut self) {
        let may_begin = !self.connection.is_answering();
        let passage = self.framing.advance(&self.held, may_begin);
        hide_expectation(&mut self.held, &passage);
        self.cleared = passage.pass;
        if !passage.rest.is_to_be_shown_again() {
            self.held.truncate(passage.pass);
        }
        self.note(passage);
    }

    /// Where what is held back waits for its turn: whether that has come.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.connection.is_answering() {
            let waker = context.waker().clone();
            self.connection.waiting.set(Some(waker));
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn note(&mut self, passage: Passage) {
        let passed = &self.connection.passed;
        passed.set(passed.get() + passage.requests);
        if passage.requests > 0 {
            if passage.expectation.is_some() && self.framing.is_in_body() {
                let number = Invitation::Awaited(passed.get());
                self.connection.invitation.set(number);
            }
            // Not before: whoever sends empty lines alone is not idle, and has to keep the time.
            self.state = State::Serving;
        }
        let is_something_new = passage.requests > 0
            || match passage.rest {
                Rest::None => !self.framing.is_in_body(),
                Rest::PartOfHead => passage.pass > 0,
                Rest::NotYet | Rest::Refused(_) | Rest::BrokenBody(_) => true,
            };
        if is_something_new {
            self.deadline = None;
        }
        self.waits_for_its_turn = passage.rest == Rest::NotYet;
        match passage.rest {
            Rest::None | Rest::PartOfHead | Rest::NotYet => {}
            Rest::Refused(refusal) => self.refuse(refusal),
            Rest::BrokenBody(why) => self.break_off(why),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let stand_in = if refusal.to_head {
            STAND_IN_HEAD
        } else {
            STAND_IN
        };
        self.held.truncate(self.cleared);
        self.held.extend_from_slice(stand_in);
        self.cleared = self.held.len();
        let number = self.connection.passed.get() + 1;
        self.connection.passed.set(number);
        *self.connection.refusal.borrow_mut() = Some((number, refusal));
        self.state = State::Refused;
        self.deadline = None;
    }

    fn break_off(&mut self, why: Refusal) {
        *self.connection.body_fault.borrow_mut() = Some(why);
        self.state = State::Broken;
        self.deadline = None;
    }

    /// Whether a part of a head has come; empty lines are none.
    fn has_begun_a_head(&self) -> bool {
        let part = &self.held[self.cleared..];
        part.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// Whether what is on its way has taken too long. Where all of it is there it costs nothing.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let allowed = if self.framing.is_in_body() {
            self.patience + GRACE
        } else if self.state == State::Fresh || self.has_begun_a_head() {
            self.patience
        } else {
            return Poll::Pending;
        };
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + allowed)));
        deadline.as_mut().poll(context)
    }

    /// What becomes of a client that took too long.
    fn time_out(&mut self) {
        let late = Refusal::new(
            ProblemType::RequestTimeout,
            "The request did not arrive in time.",
        );
        if self.framing.is_in_body() {
            self.break_off(late);
        } else if self.has_begun_a_head() {
            self.refuse(late);
        } else {
            // It has said nothing, and is told nothing.
            self.state = State::Broken;
        }
    }

    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut discarded = [0; DISCARDED_AT_ONCE];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
            let read = Pin::new(&mut self.io).poll_read(context, &mut buffer);
            if ready!(read).is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// The framework would tell a client to send its body before anyone has looked at the head: it must
/// not see that one waits for that.
fn hide_expectation(bytes: &mut [u8], passage: &Passage) {
    if let Some(place) = passage.expectation.clone() {
        bytes[place].fill(b' ');
    }
}

impl AsyncRead for CheckedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let begin = buffer.filled().len();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            this.release(buffer);
            if buffer.filled().len() > begin || this.state == State::Broken {
                return Poll::Ready(Ok(()));
            }
            if matches!(this.state, State::Refused | State::Lingering) {
                return Poll::Pending;
            }
            if this.waits_for_its_turn {
                ready!(this.poll_turn(context));
                this.sift_held();
                continue;
            }
            match Pin::new(&mut this.io).poll_read(context, buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() > begin => this.sift(buffer, begin),
                Poll::Ready(Ok(())) if this.has_begun_a_head() => {
                    this.refuse(Refusal::malformed("The head broke off."));
                }
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(this.poll_deadline(context));
                    this.time_out();
                }
            }
        }
    }
}

impl AsyncWrite for CheckedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write =
            |io: Pin<&mut TcpStream>, context: &mut Context<'_>| io.poll_write(context, bytes);
        this.outgoing.poll_write(&mut this.io, context, write)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let is_due = this.connection.take_invitation();
        this.outgoing.poll_flush(&mut this.io, context, is_due)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state != State::Lingering {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
            let has_answered_what_it_did_not_read =
                matches!(this.state, State::Refused | State::Broken);
            if !has_answered_what_it_did_not_read {
                return Poll::Ready(Ok(()));
            }
            this.state = State::Lingering;
            this.deadline = None;
        }
        this.poll_linger(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = |io: Pin<&mut TcpStream>, context: &mut Context<'_>| {
            io.poll_write_vectored(context, pieces)
        };
        this.outgoing.poll_write(&mut this.io, context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
