//! Signals that fail where they are told to.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Call, FailurePoints};
use crate::{
    queue::QueueError,
    signal::{Signal, Signals},
};

const PUBLISH: Call = call!("signals.publish");

pub(super) const CALLS: &[Call] = &[PUBLISH];

/// See [`around_signals`](super::around_signals).
pub(super) struct FailingSignals {
    pub(super) signals: Arc<dyn Signals>,
    pub(super) points: Arc<FailurePoints>,
}

#[async_trait]
impl Signals for FailingSignals {
    async fn publish(&self, signal: Signal) -> Result<(), QueueError> {
        self.points
            .around(PUBLISH, self.signals.publish(signal))
            .await
    }

    fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }
}
