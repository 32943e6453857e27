//! Runs suspects: jobs that wait again after a worker has died under them.
//!
//! One of them may be why it died; its neighbours were only there. So they run apart from all
//! other jobs, a few at once, and one that another crash would end runs alone. Whoever stands
//! beside a killer is therefore charged at most twice, and at its last chance only for itself.
//!
//! A process that has suspects to run begins nothing else meanwhile, and waits until what it began
//! before has ended or has run for the probation: what did not kill within it is not thought to.
//! Suspects that have run for as long share the process again. With none waiting, all this costs is
//! a look into a small index in each sweep.

use std::{sync::Arc, time::Duration};

use coatcheck_shared::{queue::End, store::Suspect};
use tokio::{
    sync::{RwLock, Semaphore, mpsc},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    claimer::{Claimer, Sort},
    finisher::Finisher,
    lanes::Lanes,
    pause::jittered,
    pump::{Pump, free_slots},
    running::{Run, Running},
};

/// How long something has to run before it is held to be harmless.
pub(crate) const PROBATION: Duration = Duration::from_secs(10);
/// How long suspects have the process to themselves before other jobs have their turn.
const TURN: Duration = Duration::from_secs(5);
/// How many suspects run side by side at first. While none of them kills the process, twice as
/// many do the next time: most workers die of something else.
const FIRST_GROUP: u32 = 32;
/// How many run side by side at most: a killer among them sends all others to their last chance.
const LARGEST_GROUP: u32 = 256;

/// Runs suspects until the worker is told to end.
pub(crate) struct Ward {
    claimer: Arc<Claimer>,
    lanes: Arc<Lanes>,
    running: Arc<Running>,
    finisher: Arc<Finisher>,
    slots: Arc<Semaphore>,
    gate: Arc<RwLock<()>>,
    claimed: mpsc::Sender<Run>,
    draining: CancellationToken,
    period: Duration,
    group: u32,
}

impl Ward {
    /// Beside a pump, from which it takes turns with the slots; it looks for suspects so often.
    pub(crate) fn beside(
        pump: &Pump,
        running: Arc<Running>,
        finisher: Arc<Finisher>,
        period: Duration,
    ) -> Self {
        Self {
            claimer: pump.claimer.clone(),
            lanes: pump.lanes.clone(),
            running,
            finisher,
            slots: pump.slots.clone(),
            gate: pump.gate.clone(),
            claimed: pump.claimed.clone(),
            draining: pump.draining.clone(),
            period,
            group: FIRST_GROUP,
        }
    }

    pub(crate) async fn run(mut self) {
        let draining = self.draining.clone();
        let mut pause = self.period;
        // A claim under way is never broken off: between them there is nothing to lose.
        while let Some(()) = draining.run_until_cancelled(sleep(jittered(pause))).await {
            let begun = Instant::now();
            let turn = self.take_turn().await;
            // Of the jobs that gave way to the suspects.
            let released = self.finisher.take_released();
            self.claimer.give_back(&released, End::Front).await;
            pause = match turn {
                None => return,
                Some(false) => self.period,
                Some(true) => self.period.max(begun.elapsed()),
            };
        }
    }

    /// Runs the suspects that there are, for a while. Whether there were any; none where the
    /// worker is told to end.
    async fn take_turn(&mut self) -> Option<bool> {
        if self.waiting().await.is_empty() {
            return Some(false);
        }
        let draining = self.draining.clone();
        // First of all: what gives way may have the slots for which the pump waits at the open gate.
        let _apart = self.running.set_suspects_apart();
        let gate = self.gate.clone();
        let _shut = draining.run_until_cancelled(gate.write()).await?;
        self.settle().await?;
        // What ran before may have taken longer to settle than a turn: it is not part of it.
        let end = Instant::now() + TURN;
        loop {
            let suspects = self.waiting().await;
            if suspects.is_empty() {
                return Some(true);
            }
            let group = together(&suspects);
            let slots = free_slots(&self.slots, group.len());
            let slots = draining.run_until_cancelled(slots).await??;
            tracing::info!(count = slots.num_permits(), "suspects run apart");
            let begun = self.running.suspects_begun();
            let ids = group.iter().map(|suspect| suspect.id).collect();
            let claim = self
                .claimer
                .claim(Sort::Suspects, ids, slots, &self.claimed);
            let count = claim.await;
            if count == 0 {
                // Another worker was there first, or their time is over.
                return Some(true);
            }
            metrics::counter!("coatcheck_suspect_runs_total").increment(count as u64);
            self.settle().await?;
            // Those of which the payload could not be read have shown nothing.
            if self.running.suspects_begun() - begun == count {
                self.group = (self.group * 2).min(LARGEST_GROUP);
            }
            if Instant::now() >= end {
                return Some(true);
            }
        }
    }

    /// Waits until what runs has ended or is held to be harmless. None where the worker is told to
    /// end.
    async fn settle(&self) -> Option<()> {
        let settled = self.running.settled(PROBATION);
        self.draining.run_until_cancelled(settled).await
    }

    /// The suspects that wait, as many as may run side by side.
    async fn waiting(&self) -> Vec<Suspect> {
        let (queues, kinds) = (self.lanes.queues(), &self.claimer.kinds);
        let store = &self.claimer.backend.store;
        match store.suspects(&queues, kinds, self.group).await {
            Ok(suspects) => suspects,
            Err(error) => {
                tracing::debug!(%error, "suspects could not be looked for");
                Vec::new()
            }
        }
    }
}

/// Those of the suspects, the longest waiting first, that run next: one alone on its last chance,
/// else all that are not on theirs.
fn together(suspects: &[Suspect]) -> Vec<Suspect> {
    match suspects.first() {
        Some(first) if first.last_chance => vec![*first],
        _ => suspects
            .iter()
            .filter(|suspect| !suspect.last_chance)
            .copied()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::{clock::SystemClock, job::JobId};

    use super::*;

    #[test]
    fn one_on_its_last_chance_runs_alone_and_never_beside_others() {
        let suspect = |last_chance| Suspect {
            id: JobId::generate(&SystemClock),
            last_chance,
        };
        let (doomed, first, second) = (suspect(true), suspect(false), suspect(false));
        assert_eq!(together(&[doomed, first, second]), [doomed]);
        assert_eq!(together(&[first, doomed, second]), [first, second]);
    }
}
