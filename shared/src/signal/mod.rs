//! Signals between processes: what wakes whoever waits. See [`Signals`].

#[cfg(test)]
mod conformance;
pub mod in_process;
pub mod redis;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    job::{JobId, QueueName},
    queue::QueueError,
};

/// How many signals a receiver may lag behind before it loses the oldest.
const SIGNALS_HELD: usize = 1_024;

/// Something that another process may be waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// These jobs have reached a terminal state, or another that a client may wait for.
    Finished(Vec<JobId>),
    /// These running jobs have been told to stop.
    CancelRequested(Vec<JobId>),
    /// A queue was used for the first time.
    QueueCreated(QueueName),
}

/// A bus that every process hears.
///
/// A lost signal costs a wait for the next look at the store, never a wrong answer. A receiver
/// that lags loses the oldest signals. Every implementation passes the suite in
/// `conformance.rs`.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// Tells every process, this one included.
    async fn publish(&self, signal: Signal) -> Result<(), QueueError>;

    /// What is published from now on.
    fn subscribe(&self) -> broadcast::Receiver<Signal>;
}
