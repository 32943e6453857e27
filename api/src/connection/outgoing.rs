//! What goes out on a connection: the framework's bytes, an invitation to send a body between
//! them, and how long a client may leave them untaken.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::AsyncWrite,
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// What a client is told that waits for leave to send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The way out of a connection.
pub(super) struct Outgoing {
    /// What is left of an invitation that is under way.
    invitation: &'static [u8],
    /// When the client is given up, while it takes nothing of what is ready.
    given_up: Option<Pin<Box<Sleep>>>,
    patience: Duration,
}

impl Outgoing {
    /// One whose client must take something within `patience`, whenever there is something.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            invitation: &[],
            given_up: None,
            patience,
        }
    }

    /// Writes with `write`, once an invitation that is under way has been written to its end.
    pub(super) fn poll_write(
        &mut self,
        io: &mut TcpStream,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_invitation(io, context))?;
        let written = write(Pin::new(io), context);
        self.hold_to_its_time(context, written)
    }

    /// The framework flushes when all that it has written has gone out, and nothing else does: so
    /// an invitation that `is_due` then stands between two answers, and in none.
    pub(super) fn poll_flush(
        &mut self,
        io: &mut TcpStream,
        context: &mut Context<'_>,
        is_due: bool,
    ) -> Poll<io::Result<()>> {
        if is_due {
            self.invitation = CONTINUE;
        }
        ready!(self.poll_invitation(io, context))?;
        Pin::new(io).poll_flush(context)
    }

    fn poll_invitation(
        &mut self,
        io: &mut TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.invitation.is_empty() {
            let written = Pin::new(&mut *io).poll_write(context, self.invitation);
            match ready!(self.hold_to_its_time(context, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => self.invitation = &self.invitation[length..],
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whatever is taken, however little, begins the time anew.
    fn hold_to_its_time(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.given_up = None;
            return written;
        }
        let patience = self.patience;
        let given_up = self
            .given_up
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)));
        ready!(given_up.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
