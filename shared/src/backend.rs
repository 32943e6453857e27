//! The one place that chooses a store, a queue and a bus of signals from the settings.

use std::sync::Arc;

use crate::{clock::SynchronisedClock, queue::Queue, signal::Signals, store::Store};

/// What every part of the program works on.
#[derive(Clone)]
pub struct Backend {
    /// Where jobs are.
    pub store: Arc<dyn Store>,
    /// Where hints wait.
    pub queue: Arc<dyn Queue>,
    /// What wakes whoever waits.
    pub signals: Arc<dyn Signals>,
    /// The database's clock.
    pub clock: SynchronisedClock,
}
