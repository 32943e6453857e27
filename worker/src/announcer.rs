//! Tells every process which jobs have reached their end: one message for all that gather while
//! the last one is under way.

use std::sync::Arc;

use coatcheck_shared::{
    job::JobId,
    signal::{Signal, Signals},
};
use tokio::sync::mpsc;

/// How many ids may wait to be told.
pub(crate) const WAITING_IDS: usize = 65_536;

const LARGEST_MESSAGE: usize = 1_000;

/// Tells until nobody is left who could finish a job.
pub(crate) async fn run(signals: Arc<dyn Signals>, mut finished: mpsc::Receiver<JobId>) {
    let mut ids = Vec::new();
    while finished.recv_many(&mut ids, LARGEST_MESSAGE).await > 0 {
        announce(&*signals, std::mem::take(&mut ids)).await;
    }
}

/// Tells of jobs that have reached their end. Lost, it costs whoever waits one more look.
pub(crate) async fn announce(signals: &dyn Signals, ids: Vec<JobId>) {
    if ids.is_empty() {
        return;
    }
    if let Err(error) = signals.publish(Signal::Finished(ids)).await {
        metrics::counter!("coatcheck_signals_lost_total").increment(1);
        tracing::debug!(%error, "nobody was told of finished jobs");
    }
}
