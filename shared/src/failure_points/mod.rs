//! Failure points: a process that is told to crash, to fail or to dawdle before or after a call to
//! the store, the queue or the signals, or before or after a handler.
//!
//! They are there with the feature `failure-points` alone, and do something only where
//! [`VARIABLE`] says so. Before a call means that nothing of it has been done; after it means that
//! all of it has, and only its answer is still to come:
//!
//! | instant | point |
//! |---|---|
//! | between COMMIT and push | `queue.push.before` |
//! | after COMMIT, before the 202 | `store.insert.after`, `store.insert_and_claim.after` |
//! | after pop, before claim | `queue.pop.after` |
//! | during the run | `run.before` |
//! | after the finish is committed, before its reply | `store.finish.after` |

/// The two points around the call of this name.
macro_rules! call {
    ($($name:expr),+) => {
        $crate::failure_points::Call {
            before: concat!($($name,)+ ".before"),
            after: concat!($($name,)+ ".after"),
        }
    };
}

mod queue;
mod rules;
mod signals;
mod store;

use std::{
    future::Future,
    sync::{Arc, LazyLock, Mutex, PoisonError, atomic::Ordering},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::sleep;

pub use self::rules::WrongFailurePoints;
use self::rules::{Action, Rule, Trigger};
use crate::{
    queue::{Queue, QueueError},
    signal::Signals,
    store::{Store, StoreError},
};

/// Where it is said what happens at which point: `POINT=ACTION[@WHEN]`, any number of them with
/// commas between.
///
/// POINT is one of [`names`], in which `*` stands for anything. ACTION is `crash`, `panic`, `error`
/// or `delay:TIME` (`delay:500ms`, `delay:2s`). WHEN is `3` (the third call alone), `3-5` (these
/// calls), `3-` (the third and all that follow) or `10%` (one call in ten); without it, every
/// call. `seed=N` makes the chances those of other runs with N.
pub const VARIABLE: &str = "COATCHECK_FAILPOINTS";

/// The points around a handler.
pub const RUN: Call = call!("run");

/// The two points around a call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    before: &'static str,
    after: &'static str,
}

/// The name of every point.
pub fn names() -> impl Iterator<Item = &'static str> {
    [store::CALLS, queue::CALLS, signals::CALLS, &[RUN]]
        .into_iter()
        .flatten()
        .flat_map(|call| [call.before, call.after])
}

/// A point was told to fail.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the failure point {0}")]
pub struct Failed(&'static str);

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        Self::Unavailable(failed.to_string().into())
    }
}

impl From<Failed> for QueueError {
    fn from(failed: Failed) -> Self {
        Self::Unavailable(failed.to_string())
    }
}

/// What happens at which point.
#[derive(Debug)]
pub struct FailurePoints {
    rules: Vec<Rule>,
    chance: Mutex<StdRng>,
}

impl FailurePoints {
    /// Reads what [`VARIABLE`] holds.
    ///
    /// # Errors
    /// Saying what would be right.
    pub fn read(text: &str) -> Result<Self, WrongFailurePoints> {
        let (rules, seed) = rules::read(text)?;
        let chance = seed.map_or_else(rand::make_rng, StdRng::seed_from_u64);
        Ok(Self {
            rules,
            chance: Mutex::new(chance),
        })
    }

    /// Makes a call, with what happens before and after it.
    ///
    /// # Errors
    /// The call's own, and where one of its points is told to fail.
    pub async fn around<T, E: From<Failed>>(
        &self,
        call: Call,
        made: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.pass(call.before).await?;
        let answer = made.await;
        self.pass(call.after).await?;
        answer
    }

    async fn pass(&self, point: &'static str) -> Result<(), Failed> {
        for rule in self.rules.iter().filter(|rule| rule.is_about(point)) {
            let call = rule.calls.fetch_add(1, Ordering::Relaxed) + 1;
            if !self.is_due(rule.trigger, call) {
                continue;
            }
            tracing::warn!(point, call, action = ?rule.action, "a failure point");
            match rule.action {
                Action::Crash => std::process::abort(),
                Action::Panic => panic!("the failure point {point}"),
                Action::Error => return Err(Failed(point)),
                Action::Delay(time) => sleep(time).await,
            }
        }
        Ok(())
    }

    fn is_due(&self, trigger: Trigger, call: u64) -> bool {
        match trigger {
            Trigger::Calls { first, last } => (first..=last).contains(&call),
            Trigger::Chance(chance) => self
                .chance
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random_bool(chance),
        }
    }
}

/// This process's failure points; none where [`VARIABLE`] is not set.
///
/// # Errors
/// Where it cannot be read.
pub fn of_this_process() -> Result<Option<Arc<FailurePoints>>, WrongFailurePoints> {
    static POINTS: LazyLock<Result<Option<Arc<FailurePoints>>, WrongFailurePoints>> =
        LazyLock::new(|| match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => Ok(Some(Arc::new(FailurePoints::read(&text)?))),
            _ => Ok(None),
        });
    POINTS.clone()
}

/// A store with this process's failure points around every verb.
pub fn around_store(store: Arc<dyn Store>) -> Arc<dyn Store> {
    match points() {
        Some(points) => Arc::new(store::FailingStore { store, points }),
        None => store,
    }
}

/// A queue with this process's failure points around every verb.
pub fn around_queue(queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
    match points() {
        Some(points) => Arc::new(queue::FailingQueue { queue, points }),
        None => queue,
    }
}

/// Signals with this process's failure points around publishing.
pub fn around_signals(signals: Arc<dyn Signals>) -> Arc<dyn Signals> {
    match points() {
        Some(points) => Arc::new(signals::FailingSignals { signals, points }),
        None => signals,
    }
}

/// What cannot be read has stopped the start: the settings were refused.
fn points() -> Option<Arc<FailurePoints>> {
    of_this_process().unwrap_or_default()
}

#[cfg(test)]
mod tests;
