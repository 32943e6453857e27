//! Signals between processes: what wakes whoever waits. See [`Signals`].

pub mod in_process;
pub mod redis;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    job::{JobId, QueueName},
    queue::QueueError,
};

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
/// that lags loses the oldest signals.
#[async_trait]
pub trait Signals: Send + Sync + 'static {
    /// Tells every process, this one included.
    async fn publish(&self, signal: Signal) -> Result<(), QueueError>;

    /// What is published from now on.
    fn subscribe(&self) -> broadcast::Receiver<Signal>;
}
