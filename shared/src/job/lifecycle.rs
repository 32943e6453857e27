//! The state machine: every state, every legal move, and a typed error for the rest.
//!
//! The stores repeat each move as one guarded `UPDATE`; their conformance suite holds them
//! against this module, which is the specification.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a job's worker may die under it before the job is held to be the cause.
pub const CRASH_LIMIT: u32 = 3;

/// Where a job is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Waits for a worker.
    Queued,
    /// A worker holds it.
    Running,
    /// Finished with a result.
    Succeeded,
    /// Finished without.
    Failed,
    /// Called off.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a job in this state stays in it but for an explicit retry, deletion or retention.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

/// A text that names no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a state is one of scheduled, queued, running, succeeded, failed, cancelled")]
pub struct UnknownState;

/// A move that a job can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// Its time has come.
    Enqueue,
    /// A worker takes it.
    Claim,
    /// Its attempt ended with a result.
    Succeed,
    /// It is given up.
    Fail,
    /// Its attempt failed, another will follow later.
    RetryLater,
    /// Its worker died.
    Rescue,
    /// Its worker hands it back without having finished it.
    Release,
    /// It is called off while it waits, or its worker has stopped it.
    Cancel,
    /// It is to be called off while it runs.
    RequestCancel,
    /// A client sends it round again.
    Retry,
}

/// A move that is not legal from where the job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {state} job cannot make the move {attempted:?}")]
pub struct IllegalMove {
    /// Where the job is.
    pub state: State,
    /// What was attempted.
    pub attempted: Move,
}

/// The part of a job that its moves change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// Where it is.
    pub state: State,
    /// The number of its newest attempt, 0 before the first.
    pub attempt: u32,
    /// How many attempts it has in all, at least 1.
    pub max_attempts: u32,
    /// How many of its workers have died under it.
    pub crashes: u32,
    /// Whether its running attempt has been told to stop.
    pub cancel_requested: bool,
}

impl Lifecycle {
    /// A submitted job: it waits for a worker, or first for its time.
    pub const fn submitted(max_attempts: u32, scheduled: bool) -> Self {
        Self {
            state: if scheduled {
                State::Scheduled
            } else {
                State::Queued
            },
            attempt: 0,
            max_attempts,
            crashes: 0,
            cancel_requested: false,
        }
    }

    /// `scheduled → queued`.
    pub fn enqueue(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Scheduled => Ok(self.to(State::Queued)),
            _ => self.illegal(Move::Enqueue),
        }
    }

    /// `queued → running`, the next attempt.
    pub fn claim(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Queued => Ok(Self {
                attempt: self.attempt + 1,
                ..self.to(State::Running)
            }),
            _ => self.illegal(Move::Claim),
        }
    }

    /// `running → succeeded`.
    pub fn succeed(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Running => Ok(self.to(State::Succeeded)),
            _ => self.illegal(Move::Succeed),
        }
    }

    /// `scheduled | queued | running → failed`: given up after an attempt, or out of time.
    pub fn fail(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Scheduled | State::Queued | State::Running => Ok(self.to(State::Failed)),
            _ => self.illegal(Move::Fail),
        }
    }

    /// `running → scheduled`; `cancelled` where it was told to stop, `failed` without an attempt
    /// left.
    pub fn retry_later(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Running => Ok(self.to(self.unless_over(State::Scheduled))),
            _ => self.illegal(Move::RetryLater),
        }
    }

    /// `running → queued`, its worker having died; `cancelled` where it was told to stop,
    /// `failed` without an attempt left or after [`CRASH_LIMIT`] crashes.
    pub fn rescue(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Running => {
                let crashed = Self {
                    crashes: self.crashes + 1,
                    ..self
                };
                Ok(crashed.to(crashed.unless_over(State::Queued)))
            }
            _ => self.illegal(Move::Rescue),
        }
    }

    /// `running → queued` with the attempt not counted; `cancelled` where it was told to stop.
    pub fn release(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Running if self.cancel_requested => Ok(self.to(State::Cancelled)),
            State::Running => Ok(Self {
                attempt: self.attempt - 1,
                ..self.to(State::Queued)
            }),
            _ => self.illegal(Move::Release),
        }
    }

    /// `scheduled | queued → cancelled`, and `running → cancelled` once it was told to stop.
    pub fn cancel(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Scheduled | State::Queued => Ok(self.to(State::Cancelled)),
            State::Running if self.cancel_requested => Ok(self.to(State::Cancelled)),
            _ => self.illegal(Move::Cancel),
        }
    }

    /// Tells a running job to stop.
    pub fn request_cancel(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Running => Ok(Self {
                cancel_requested: true,
                ..self
            }),
            _ => self.illegal(Move::RequestCancel),
        }
    }

    /// `failed | cancelled → queued` with at least one attempt before it. The numbers of attempts
    /// go on, so that an attempt of before is never taken for one of after.
    pub fn retry(self) -> Result<Self, IllegalMove> {
        match self.state {
            State::Failed | State::Cancelled => Ok(Self {
                max_attempts: self.max_attempts.max(self.attempt + 1),
                crashes: 0,
                ..self.to(State::Queued)
            }),
            _ => self.illegal(Move::Retry),
        }
    }

    fn unless_over(self, next: State) -> State {
        if self.cancel_requested {
            State::Cancelled
        } else if self.attempt >= self.max_attempts || self.crashes >= CRASH_LIMIT {
            State::Failed
        } else {
            next
        }
    }

    const fn to(self, state: State) -> Self {
        Self {
            state,
            cancel_requested: self.cancel_requested && matches!(state, State::Cancelled),
            ..self
        }
    }

    const fn illegal(self, attempted: Move) -> Result<Self, IllegalMove> {
        Err(IllegalMove {
            state: self.state,
            attempted,
        })
    }
}

#[cfg(test)]
mod tests;
