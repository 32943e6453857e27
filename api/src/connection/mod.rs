//! What stands between a connection and the framework's parser.
//!
//! The framework answers a request that it cannot take apart with an empty body, and is lenient
//! where two readers of the same bytes may disagree. So each head is checked before the framework
//! sees it: what passes is well-formed, and what does not is replaced by a request that
//! [`exchange`](crate::exchange) answers with the [`Refusal`], in its turn, like any other. After
//! that the connection is closed, for nobody knows where the next request would begin.
//!
//! One request at a time goes through: the framework remembers of a connection only what the last
//! one that it read was like (a HEAD, say), and would answer an earlier one by that.
//!
//! This also holds each head and body to its time, and knows who is one connection too many.

mod chunks;
mod framing;
mod head;
mod outgoing;
mod stream;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

pub(crate) use self::stream::{CheckedStream, Times};
use crate::problem::{Problem, ProblemType};

/// Why a request is refused before anything of it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    problem_type: ProblemType,
    detail: &'static str,
    limit: Option<usize>,
    /// Whether it was a HEAD, as far as that can be told: the answer then has no body.
    to_head: bool,
}

impl Refusal {
    fn new(problem_type: ProblemType, detail: &'static str) -> Self {
        Self {
            problem_type,
            detail,
            limit: None,
            to_head: false,
        }
    }

    fn malformed(detail: &'static str) -> Self {
        Self::new(ProblemType::MalformedRequest, detail)
    }

    fn over(problem_type: ProblemType, detail: &'static str, limit: usize) -> Self {
        Self {
            limit: Some(limit),
            ..Self::new(problem_type, detail)
        }
    }

    /// The problem that it is answered with, and the end of the connection.
    pub(crate) fn into_problem(self) -> Problem {
        let problem = Problem::new(self.problem_type, self.detail).closing();
        match self.limit {
            Some(limit) => problem.with("limit_bytes", limit),
            None => problem,
        }
    }
}

/// What is known of a connection: written where its bytes come in, read where they are answered.
#[derive(Default)]
pub(crate) struct Connection {
    /// How many requests the framework has been given.
    passed: Cell<u64>,
    /// How many have come to be answered.
    served: Cell<u64>,
    /// The heads of how many answers have been written.
    answered: Cell<u64>,
    /// Who waits until another is.
    waiting: Cell<Option<Waker>>,
    /// The one among them that stands for a refused request.
    refusal: RefCell<Option<(u64, Refusal)>>,
    /// Whether a client waits for leave to send its body.
    invitation: Cell<Invitation>,
    /// Why the body on its way cannot be read to its end.
    body_fault: RefCell<Option<Refusal>>,
    is_too_many: bool,
}

/// Whether the client of a request, which is known by its number, sends its body only once it is
/// told to (RFC 9110 §10.1.1). It is told when someone reads the body, and so not where the head
/// alone decides that it is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Invitation {
    /// None waits.
    #[default]
    None,
    /// It waits.
    Awaited(u64),
    /// It is to be told.
    Due(u64),
}

impl Connection {
    /// The body of the request that is being answered is about to be read.
    pub(crate) fn invite_body(&self) {
        if let Invitation::Awaited(number) = self.invitation.get() {
            self.invitation.set(Invitation::Due(number));
        }
    }

    /// Whether the client of the request that is being answered has not been told to send its
    /// body. It need not send it then, so nobody knows what comes next on the connection.
    pub(crate) fn awaits_invitation(&self) -> bool {
        self.invitation.get() == Invitation::Awaited(self.served.get())
    }

    /// Whether the client is to be told now; once. An answer that has begun leaves nothing to say.
    fn take_invitation(&self) -> bool {
        let Invitation::Due(number) = self.invitation.get() else {
            return false;
        };
        self.invitation.set(Invitation::None);
        self.answered.get() < number
    }

    /// Counts a request that is about to be answered; why it is refused, where it is.
    pub(crate) fn next_request(&self) -> Option<Refusal> {
        self.served.set(self.served.get() + 1);
        let mut refusal = self.refusal.borrow_mut();
        let refused = refusal.take_if(|(number, _)| *number == self.served.get())?;
        Some(refused.1)
    }

    /// Whether a request is being answered, and no other is to be read.
    fn is_answering(&self) -> bool {
        self.answered.get() < self.passed.get()
    }

    /// Why the body could not be read to its end, where it is the client's fault.
    pub(crate) fn body_fault(&self) -> Option<Problem> {
        self.body_fault.take().map(Refusal::into_problem)
    }

    /// Whether there were as many connections as may be already.
    pub(crate) fn is_too_many(&self) -> bool {
        self.is_too_many
    }
}

/// Goes with an answer until the framework has written its head: the connection is then ready for
/// the next request.
pub(crate) struct Answer(pub(crate) Rc<Connection>);

impl Drop for Answer {
    fn drop(&mut self) {
        let Self(connection) = self;
        connection.answered.set(connection.answered.get() + 1);
        if let Some(waker) = connection.waiting.take() {
            waker.wake();
        }
    }
}

/// How many connections there are, and may be.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    open: Arc<AtomicUsize>,
    most: usize,
}

/// A connection's place among them, until it is dropped.
#[derive(Debug)]
struct Place {
    open: Arc<AtomicUsize>,
    is_too_many: bool,
}

impl Connections {
    /// So many.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
        }
    }

    fn enter(&self) -> Place {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        Place {
            open: self.open.clone(),
            is_too_many: before >= self.most,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_too_many_is_known_and_its_place_is_given_back() {
        let connections = Connections::new(1);
        let first = connections.enter();
        assert!(!first.is_too_many);
        assert!(connections.enter().is_too_many);
        drop(first);
        assert!(!connections.enter().is_too_many);
    }

    #[test]
    fn a_refusal_meets_the_request_that_stands_for_it() {
        let connection = Connection::default();
        *connection.refusal.borrow_mut() = Some((2, Refusal::malformed("x")));
        assert_eq!(connection.next_request(), None);
        assert_eq!(connection.next_request(), Some(Refusal::malformed("x")));
        assert_eq!(connection.next_request(), None);
    }
}
