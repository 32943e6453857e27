//! The bus of the embedded mode: everyone is in this process.

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{SIGNALS_HELD, Signal, Signals};
use crate::queue::QueueError;

/// A bus within this process.
#[derive(Debug)]
pub struct InProcessSignals {
    sender: broadcast::Sender<Signal>,
}

impl Default for InProcessSignals {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(SIGNALS_HELD);
        Self { sender }
    }
}

#[async_trait]
impl Signals for InProcessSignals {
    async fn publish(&self, signal: Signal) -> Result<(), QueueError> {
        // That nobody listens is no error.
        let _ = self.sender.send(signal);
        Ok(())
    }

    fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::signal::conformance::signals_conform;

    async fn start() -> (Arc<dyn Signals>, ()) {
        (Arc::new(InProcessSignals::default()), ())
    }

    signals_conform!(start);
}
