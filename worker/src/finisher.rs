//! Records how attempts ended, in groups, and does not give up while their lease holds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coatcheck_shared::{
    clock::{Clock, SynchronisedClock},
    job::{Failure, JobId, Outcome, failure::FailureType},
    settings::Settings,
    store::{Finish, FinishOutcome, GroupCommit, GroupCommitSettings, Store, StoreError},
};
use tokio::{sync::mpsc, time::sleep};

use crate::{pause::Pause, running::Hold};

/// Records the ends of attempts.
pub(crate) struct Finisher {
    store: Arc<dyn Store>,
    clock: SynchronisedClock,
    group: GroupCommit<Finish, FinishOutcome>,
    finished: mpsc::Sender<JobId>,
    released: Mutex<Vec<JobId>>,
}

impl Finisher {
    /// Starts the committers. The ids of jobs that have reached their end go to `finished`.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: SynchronisedClock,
        settings: &Settings,
        finished: mpsc::Sender<JobId>,
    ) -> Self {
        let group = GroupCommitSettings {
            name: "finish",
            committers: settings.store.committers,
            largest_group: settings.store.largest_group,
            // Every slot may have one on its way, and another of which the answer is late.
            waiting: settings.worker.concurrency * 2,
            // A flush has the store's own deadline; a late answer would only be asked again.
            deadline: settings.worker.lease(),
        };
        let target = store.clone();
        let group = GroupCommit::start(group, move |finishes: Vec<Finish>| {
            let store = target.clone();
            async move { store.finish(finishes).await }
        });
        Self {
            store,
            clock,
            group,
            finished,
            released: Mutex::default(),
        }
    }

    /// Records the end of an attempt. Returns once it is on disk, or no longer matters.
    pub(crate) async fn record(&self, hold: &Hold, kind: &str, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else {
            drop_stale();
            return;
        };
        let name = name_of(&outcome);
        let finish = Finish {
            id: hold.id,
            attempt: hold.attempt,
            lease: hold.lease.id,
            started_at: hold.started_at,
            finished_at: self.clock.now(),
            outcome,
        };
        let recorded = tokio::select! {
            biased;
            recorded = self.record_with_patience(finish) => Some(recorded),
            () = hold.lease.lost.cancelled() => None,
        };
        match recorded {
            Some(FinishOutcome::Recorded(state) | FinishOutcome::AlreadyRecorded(state)) => {
                count_finished(kind, name);
                if state.is_terminal() {
                    // A signal that finds no room costs whoever waits one more look.
                    let _ = self.finished.try_send(hold.id);
                } else if name == "released" {
                    self.released().push(hold.id);
                }
            }
            Some(FinishOutcome::Stale) | None => drop_stale(),
        }
    }

    /// The jobs that were handed back since this was last asked.
    pub(crate) fn take_released(&self) -> Vec<JobId> {
        std::mem::take(&mut *self.released())
    }

    async fn record_with_patience(&self, mut finish: Finish) -> FinishOutcome {
        let mut pause = Pause::between(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let error = match self.group.submit(finish.clone()).await {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            tracing::warn!(%error, "the end of the attempt is not recorded yet");
            if !error.is_unavailable() {
                match self.record_alone(&finish).await {
                    Ok(outcome) => return outcome,
                    Err(error) if error.is_unavailable() => {}
                    Err(error) => finish.outcome = unrecordable(&error),
                }
            }
            sleep(pause.next()).await;
        }
    }

    /// A group is refused for one bad item: alone, the good ones pass.
    async fn record_alone(&self, finish: &Finish) -> Result<FinishOutcome, StoreError> {
        let outcomes = self.store.finish(vec![finish.clone()]).await?;
        outcomes.into_iter().next().ok_or_else(|| {
            StoreError::corrupt("reply", "it has no outcome for the attempt it was asked of")
        })
    }

    fn released(&self) -> std::sync::MutexGuard<'_, Vec<JobId>> {
        self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is recorded instead of something that the store refuses for what it is.
fn unrecordable(error: &StoreError) -> Outcome {
    tracing::error!(%error, "the end of the attempt cannot be recorded as it is");
    Outcome::Failed(Failure::new(
        FailureType::Error,
        "what the job left behind could not be stored",
    ))
}

fn drop_stale() {
    metrics::counter!("coatcheck_stale_results_total").increment(1);
    tracing::warn!("the attempt is no longer the job's newest: what it did is dropped");
}

fn count_finished(kind: &str, outcome: &'static str) {
    metrics::counter!(
        "coatcheck_jobs_finished_total",
        "kind" => kind.to_owned(),
        "outcome" => outcome
    )
    .increment(1);
}

const fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::RetryAt { .. } => "retried",
        Outcome::Released => "released",
    }
}
