//! The tasks of a worker that has started.

use std::sync::Arc;

use apalis_core::monitor::MonitorError;
use tokio::{
    task::{AbortHandle, JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::LAST_WORDS;
use crate::{claimer::Claimer, finisher::Finisher};

/// A worker that has started.
pub(super) struct Parts {
    pub(super) pump: JoinHandle<()>,
    pub(super) monitor: JoinHandle<Result<(), MonitorError>>,
    pub(super) lease_keeper: JoinHandle<()>,
    pub(super) lease_finished: CancellationToken,
    pub(super) abandoned: CancellationToken,
    pub(super) finisher: Arc<Finisher>,
    pub(super) claimer: Arc<Claimer>,
    pub(super) last_words: JoinSet<()>,
    pub(super) tasks: JoinSet<()>,
    pub(super) _teardown: Teardown,
}

/// Tasks that must not outlive the worker: a lease that was renewed without one would keep its
/// jobs from all others.
pub(super) struct Teardown(pub(super) Vec<AbortHandle>);

impl Drop for Teardown {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Parts {
    pub(super) async fn close_lease(&mut self) {
        self.lease_finished.cancel();
        let keeper = &mut self.lease_keeper;
        if !keeper.is_finished() && timeout(LAST_WORDS, keeper).await.is_err() {
            self.lease_keeper.abort();
        }
    }

    /// Waits until what was said by and of the jobs has been passed on.
    pub(super) async fn last_words(self) {
        let Self {
            finisher,
            claimer,
            mut last_words,
            ..
        } = self;
        drop((finisher, claimer));
        let all_said = async { while last_words.join_next().await.is_some() {} };
        if timeout(LAST_WORDS, all_said).await.is_err() {
            tracing::warn!("some of what jobs had to say was not passed on");
        }
    }
}
