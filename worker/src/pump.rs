//! Brings jobs in: free slots → hints → claimed jobs. Never more than can start at once.

use std::{sync::Arc, time::Duration};

use coatcheck_shared::{
    hand_off::{Offer, Taken},
    job::JobId,
    queue::{End, Queue, QueueError},
};
use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, RwLock, Semaphore, mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    claimer::{Claimer, Sort},
    lanes::Lanes,
    lease::Lease,
    pause::jittered,
    running::Run,
    status::WorkerStatus,
};

/// How many jobs are claimed in one statement.
const LARGEST_CLAIM: usize = 500;
/// How long one look at an empty queue lasts.
const POP_WAIT: Duration = Duration::from_secs(1);
/// The pause between two looks at the store, in place of the queue, that found nothing.
const STORE_PAUSE: Duration = Duration::from_millis(150);
/// How often a queue that was away is asked whether it is back.
const PROBE_PERIOD: Duration = Duration::from_millis(250);

/// Brings jobs in until the worker is told to end.
pub(crate) struct Pump {
    pub(crate) claimer: Arc<Claimer>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) leases: watch::Receiver<Option<Lease>>,
    pub(crate) slots: Arc<Semaphore>,
    /// Held for reading from before a hint is taken until its job is held; the ward shuts it.
    pub(crate) gate: Arc<RwLock<()>>,
    pub(crate) claimed: mpsc::Sender<Run>,
    pub(crate) draining: CancellationToken,
    pub(crate) status: WorkerStatus,
}

/// What a turn of the pump needs before it may look for jobs.
struct Turn {
    gate: OwnedRwLockReadGuard<()>,
    slots: OwnedSemaphorePermit,
}

/// Jobs that are being claimed as they are stored, and under what.
struct Handed {
    taken: Taken,
    lease: Lease,
}

impl Pump {
    pub(crate) async fn run(mut self) {
        while let Some(turn) = self.next_turn().await {
            self.take_turn(turn).await;
        }
    }

    /// Waits for a lease, for the ward, and for free slots, which nobody may hold who waits for the
    /// ward. None: the worker is to end.
    async fn next_turn(&mut self) -> Option<Turn> {
        let ready = async {
            let lease = self.leases.wait_for(Option::is_some).await;
            lease.ok().map(drop)?;
            let gate = self.gate.clone().read_owned().await;
            let slots = free_slots(&self.slots, LARGEST_CLAIM).await?;
            Some(Turn { gate, slots })
        };
        tokio::select! {
            biased;
            () = self.draining.cancelled() => None,
            turn = ready => turn,
        }
    }

    /// One claim at a time: hints gather meanwhile, and the next is larger for it. Nor is the worker
    /// to end before what is being claimed has been passed on, to be handed back in good order.
    async fn take_turn(&self, turn: Turn) {
        let Turn { gate, mut slots } = turn;
        let (found, handed) = self.look(slots.num_permits()).await;
        let own = handed.and_then(|Handed { taken, lease }| {
            let own = slots.split(taken.ids.len())?;
            Some((taken, lease, own))
        });
        let receiving = async {
            if let Some((taken, lease, own)) = own {
                let claimed = &self.claimed;
                self.claimer.receive(taken, lease, own, claimed).await;
            }
        };
        let claiming = async {
            let ids = found?;
            self.claim(ids, slots).await;
            Ok::<_, QueueError>(())
        };
        let ((), looked) = tokio::join!(receiving, claiming);
        drop(gate);
        if let Err(error) = looked {
            tracing::warn!(%error, "jobs are claimed straight from the store");
            self.status.set_queue_is_away(true);
            self.serve_from_store().await;
            self.status.set_queue_is_away(false);
        }
    }

    /// Claims what these hints name, and gives back those for which there is no slot.
    async fn claim(&self, mut ids: Vec<JobId>, mut slots: OwnedSemaphorePermit) {
        if ids.is_empty() {
            return;
        }
        if self.draining.is_cancelled() {
            self.claimer.give_back(&ids, End::Front).await;
            return;
        }
        // There are fewer slots where jobs were handed over in the same moment.
        let left = ids.split_off(ids.len().min(slots.num_permits()));
        drop(slots.split(slots.num_permits() - ids.len()));
        self.claimer.give_back(&left, End::Front).await;
        if !ids.is_empty() {
            let claimed = &self.claimed;
            self.claimer
                .claim(Sort::Ordinary, ids, slots, claimed)
                .await;
        }
    }

    /// Takes up to so many hints, waiting for them for a while; what is handed over meanwhile ends
    /// the wait.
    async fn look(&self, most: usize) -> (Result<Vec<JobId>, QueueError>, Option<Handed>) {
        let (lanes, queue) = (self.lanes.in_order(), &self.claimer.backend.queue);
        let pop = queue.pop(&lanes, most, POP_WAIT);
        let lease = self.leases.borrow().clone();
        let (Some(hand_off), Some(lease)) = (&self.claimer.backend.hand_off, lease) else {
            // Never cancelled: hints that were taken meanwhile would be lost.
            return (pop.await, None);
        };
        // The queue of this process can be: it takes none before it gives them.
        let mut offered = hand_off.offer(self.offer(&lease, most));
        tokio::select! {
            biased;
            taken = offered.taken() => (Ok(Vec::new()), Some(Handed { taken, lease })),
            found = pop => {
                let taken = offered.withdraw();
                (found, taken.map(|taken| Handed { taken, lease }))
            }
        }
    }

    fn offer(&self, lease: &Lease, most: usize) -> Offer {
        Offer {
            lease: lease.id,
            times: self.claimer.times.clone(),
            queues: self.lanes.queues().into_iter().collect(),
            kinds: self.claimer.kinds.iter().cloned().collect(),
            most,
            lease_lost: lease.lost.clone(),
            draining: self.draining.clone(),
        }
    }

    /// Claims the oldest queued jobs from the store until the queue answers again.
    async fn serve_from_store(&self) {
        let queue_is_back = until_it_answers(&*self.claimer.backend.queue);
        tokio::pin!(queue_is_back);
        loop {
            let found = self.claim_oldest().await;
            let pause = if found > 0 {
                Duration::ZERO
            } else {
                jittered(STORE_PAUSE)
            };
            tokio::select! {
                biased;
                () = self.draining.cancelled() => return,
                () = &mut queue_is_back => {
                    tracing::info!("the queue is back");
                    return;
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// Says how many jobs were claimed.
    async fn claim_oldest(&self) -> usize {
        let _gate = self.gate.read().await;
        let has_lease = self.leases.borrow().is_some();
        let slots = match timeout(STORE_PAUSE, free_slots(&self.slots, LARGEST_CLAIM)).await {
            Ok(Some(slots)) if has_lease => slots,
            _ => return 0,
        };
        let (queues, kinds) = (self.lanes.queues(), &self.claimer.kinds);
        let limit = u32::try_from(slots.num_permits()).unwrap_or(u32::MAX);
        let store = &self.claimer.backend.store;
        match store.oldest_queued(&queues, kinds, limit).await {
            Ok(ids) if ids.is_empty() => 0,
            Ok(ids) => {
                let claim = self
                    .claimer
                    .claim(Sort::Ordinary, ids, slots, &self.claimed);
                let count = claim.await;
                metrics::counter!("coatcheck_fallback_claims_total").increment(count as u64);
                count
            }
            Err(error) => {
                tracing::warn!(%error, "neither the queue nor the store answers");
                0
            }
        }
    }
}

/// At least one free slot, and as many as there are up to `most`.
pub(crate) async fn free_slots(
    slots: &Arc<Semaphore>,
    most: usize,
) -> Option<OwnedSemaphorePermit> {
    let mut free = slots.clone().acquire_owned().await.ok()?;
    let more = slots.available_permits().min(most.saturating_sub(1));
    let more = u32::try_from(more).unwrap_or(0);
    if let Ok(more) = slots.clone().try_acquire_many_owned(more) {
        free.merge(more);
    }
    Some(free)
}

async fn until_it_answers(queue: &dyn Queue) {
    while queue.ping().await.is_err() {
        sleep(jittered(PROBE_PERIOD)).await;
    }
}
