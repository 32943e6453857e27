//! Hears what other processes say: which running jobs are to stop, which queues there are.

use std::sync::Arc;

use coatcheck_shared::signal::Signal;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{lanes::Lanes, running::Running};

/// Listens for as long as there is something to hear.
pub(crate) async fn run(mut signals: Receiver<Signal>, running: Arc<Running>, lanes: Arc<Lanes>) {
    loop {
        match signals.recv().await {
            Ok(Signal::CancelRequested(ids)) => running.cancel(&ids),
            Ok(Signal::QueueCreated(_)) => lanes.queue_created.notify_one(),
            Ok(Signal::Finished(_)) => {}
            // The lease keeper asks the store what was missed.
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "signals were missed"),
            Err(RecvError::Closed) => return,
        }
    }
}
