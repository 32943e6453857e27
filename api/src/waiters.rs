//! Who waits for which job: woken by the signal that it has finished.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use coatcheck_shared::{
    job::JobId,
    signal::{Signal, Signals},
};
use tokio::sync::{Notify, broadcast::error::RecvError, futures::OwnedNotified};

/// How many jobs may be waited for at once; whoever comes later is answered without waiting.
const MOST_JOBS: usize = 100_000;

/// The jobs that are waited for.
#[derive(Default)]
pub(crate) struct Waiters {
    jobs: Mutex<HashMap<JobId, Waited>>,
}

struct Waited {
    finished: Arc<Notify>,
    waiters: usize,
}

/// A place among those who wait for a job, kept until it is dropped.
pub(crate) struct Waiter<'a> {
    id: JobId,
    finished: Arc<Notify>,
    waiters: &'a Waiters,
}

impl Waiters {
    /// Joins those who wait for a job; none where too many do already.
    pub(crate) fn join(&self, id: JobId) -> Option<Waiter<'_>> {
        let mut jobs = self.lock();
        if jobs.len() >= MOST_JOBS && !jobs.contains_key(&id) {
            return None;
        }
        let waited = jobs.entry(id).or_insert_with(|| Waited {
            finished: Arc::new(Notify::new()),
            waiters: 0,
        });
        waited.waiters += 1;
        Some(Waiter {
            id,
            finished: waited.finished.clone(),
            waiters: self,
        })
    }

    /// Wakes waiters as the signals come in, until the bus is gone.
    pub(crate) async fn follow(&self, signals: &dyn Signals) {
        let mut receiver = signals.subscribe();
        loop {
            match receiver.recv().await {
                Ok(Signal::Finished(ids)) => self.wake(&ids),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.wake_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn wake(&self, ids: &[JobId]) {
        let jobs = self.lock();
        for waited in ids.iter().filter_map(|id| jobs.get(id)) {
            waited.finished.notify_waiters();
        }
    }

    /// What was missed may have been about any of them.
    fn wake_all(&self) {
        for waited in self.lock().values() {
            waited.finished.notify_waiters();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Waited>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Completes at the next signal about the job. It counts from this call on, so whoever reads
    /// the job after it misses nothing.
    pub(crate) fn next_signal(&self) -> OwnedNotified {
        self.finished.clone().notified_owned()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut jobs = self.waiters.lock();
        if let Some(waited) = jobs.get_mut(&self.id) {
            waited.waiters -= 1;
            if waited.waiters == 0 {
                jobs.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::clock::SystemClock;
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_signal_between_asking_and_reading_is_not_missed() {
        let waiters = Waiters::default();
        let id = JobId::generate(&SystemClock);
        let waiter = waiters.join(id).unwrap();
        let signal = waiter.next_signal();
        waiters.wake(&[id]);
        assert!(signal.now_or_never().is_some());
        assert!(waiter.next_signal().now_or_never().is_none());
    }

    #[test]
    fn nothing_is_kept_of_those_who_have_gone() {
        let waiters = Waiters::default();
        let id = JobId::generate(&SystemClock);
        let (first, second) = (waiters.join(id), waiters.join(id));
        drop(first);
        assert_eq!(waiters.lock().len(), 1);
        drop(second);
        assert!(waiters.lock().is_empty());
    }
}
