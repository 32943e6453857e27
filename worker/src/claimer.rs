//! Turns hints into claimed jobs, and what could not be claimed into something that is not lost.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coatcheck_shared::{
    backend::Backend,
    claim_times::ClaimTimes,
    clock::Clock,
    hand_off::Taken,
    job::{ClaimedJob, JobId, KindName},
    queue::{End, Hint},
    timestamp::Timestamp,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    lease::Lease,
    pause::Pause,
    running::{Run, Running},
};

/// How long a hint that was passed on is remembered, so that it does not go round and round.
const FOREIGN_MEMORY: Duration = Duration::from_secs(1);

/// The pause after hints of which none was for this worker: others get their turn. Its own jobs wait
/// as long.
const FOREIGN_PAUSE: Duration = Duration::from_millis(25);

/// Which jobs are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Those under which no worker has died.
    Ordinary,
    /// The others.
    Suspects,
}

/// Claims jobs for this worker.
pub(crate) struct Claimer {
    pub(crate) backend: Backend,
    pub(crate) kinds: Vec<KindName>,
    pub(crate) leases: watch::Receiver<Option<Lease>>,
    pub(crate) running: Arc<Running>,
    pub(crate) draining: CancellationToken,
    pub(crate) foreign: Foreign,
    pub(crate) times: Arc<ClaimTimes>,
}

impl Claimer {
    /// Claims what can be claimed of `ids` and passes it on to run, each with one of `slots`.
    /// Says how many those were.
    pub(crate) async fn claim(
        &self,
        sort: Sort,
        mut ids: Vec<JobId>,
        slots: OwnedSemaphorePermit,
        claimed: &mpsc::Sender<Run>,
    ) -> usize {
        ids.truncate(slots.num_permits());
        let Some((lease, jobs)) = self.claim_with_patience(sort, &ids).await else {
            self.give_back(&ids, End::Front).await;
            return 0;
        };
        let taken: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let count = taken.len();
        self.hold(sort, jobs, &lease, slots, claimed).await;
        ids.retain(|id| !taken.contains(id));
        self.pass_on(&ids, count == 0).await;
        count
    }

    /// Passes on to run what is being claimed as it is stored, each with one of `slots`.
    pub(crate) async fn receive(
        &self,
        taken: Taken,
        lease: Lease,
        slots: OwnedSemaphorePermit,
        claimed: &mpsc::Sender<Run>,
    ) {
        let jobs = match taken.claimed.await {
            Ok(jobs) => jobs,
            // Whether it was done is not known: it is asked again, as the same claim.
            Err(_) => tokio::select! {
                biased;
                jobs = self.claim_at(taken.now, &lease, Sort::Ordinary, &taken.ids) => jobs,
                () = lease.lost.cancelled() => return,
            },
        };
        metrics::counter!("coatcheck_handed_over_total").increment(jobs.len() as u64);
        self.hold(Sort::Ordinary, jobs, &lease, slots, claimed)
            .await;
    }

    /// Passes on to run what was claimed, each with one of `slots`.
    async fn hold(
        &self,
        sort: Sort,
        jobs: Vec<ClaimedJob>,
        lease: &Lease,
        mut slots: OwnedSemaphorePermit,
        claimed: &mpsc::Sender<Run>,
    ) {
        for job in jobs {
            let Some(slot) = slots.split(1) else { break };
            let run = self.running.hold(sort, job, lease.clone(), slot);
            if claimed.send(run).await.is_err() {
                tracing::error!("a job was claimed after the worker had ended");
            }
        }
    }

    /// Asks until the store answers; none where the worker ends meanwhile.
    async fn claim_with_patience(
        &self,
        sort: Sort,
        ids: &[JobId],
    ) -> Option<(Lease, Vec<ClaimedJob>)> {
        let mut leases = self.leases.clone();
        loop {
            let lease = tokio::select! {
                biased;
                lease = leases.wait_for(Option::is_some) => lease.ok()?.clone()?,
                () = self.draining.cancelled() => return None,
            };
            let claimed = tokio::select! {
                biased;
                claimed = self.claim_at(self.next_time(), &lease, sort, ids) => Some(claimed),
                // What was claimed without our hearing of it is rescued.
                () = lease.lost.cancelled() => None,
            };
            match claimed {
                Some(jobs) => return Some((lease, jobs)),
                None if self.draining.is_cancelled() => return None,
                None => {}
            }
        }
    }

    fn next_time(&self) -> Timestamp {
        self.times.next(self.backend.clock.now())
    }

    /// A claim of which the answer was lost may have been made, and those jobs would be held by
    /// nobody: it is asked again, as the same claim, for as long as the lease lasts.
    async fn claim_at(
        &self,
        now: Timestamp,
        lease: &Lease,
        sort: Sort,
        ids: &[JobId],
    ) -> Vec<ClaimedJob> {
        let mut pause = Pause::between(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let store = &self.backend.store;
            let asked = match sort {
                Sort::Ordinary => store.claim(lease.id, ids, &self.kinds, now),
                Sort::Suspects => store.claim_suspects(lease.id, ids, &self.kinds, now),
            };
            match asked.await {
                Ok(jobs) => return jobs,
                Err(error) => tracing::warn!(%error, "jobs could not be claimed"),
            }
            sleep(pause.next()).await;
        }
    }

    /// Puts the hints of other workers' jobs back, and forgets the stale ones.
    async fn pass_on(&self, ids: &[JobId], nothing_was_mine: bool) {
        if ids.is_empty() {
            return;
        }
        let foreign = self.hints_of(ids, &self.kinds).await;
        metrics::counter!("coatcheck_hints_stale_total")
            .increment(ids.len().saturating_sub(foreign.len()) as u64);
        let hints = self.foreign.not_seen_lately(foreign);
        self.push(&hints, End::Back).await;
        if nothing_was_mine && !hints.is_empty() {
            sleep(FOREIGN_PAUSE).await;
        }
    }

    /// Puts the hints of queued jobs back. What this cannot do, the dispatcher does later.
    pub(crate) async fn give_back(&self, ids: &[JobId], end: End) {
        if ids.is_empty() {
            return;
        }
        let hints = self.hints_of(ids, &[]).await;
        self.push(&hints, end).await;
    }

    /// The hints of those jobs that are queued and of none of `kinds`.
    async fn hints_of(&self, ids: &[JobId], kinds: &[KindName]) -> Vec<Hint> {
        match self.backend.store.queued_of_other_kinds(ids, kinds).await {
            Ok(hints) => hints,
            Err(error) => {
                tracing::debug!(%error, "hints are left to the dispatcher");
                Vec::new()
            }
        }
    }

    async fn push(&self, hints: &[Hint], end: End) {
        if hints.is_empty() {
            return;
        }
        if let Err(error) = self.backend.queue.push(hints, end).await {
            tracing::debug!(%error, "hints are left to the dispatcher");
        }
    }
}

/// Which other workers' hints were passed on a moment ago.
///
/// Put back at the end of its lane, such a hint is out of order, so the dispatcher may take it
/// for lost and push it again. One of the two is dropped here, or they would become ever more.
#[derive(Default)]
pub(crate) struct Foreign {
    seen: Mutex<Option<(Instant, HashSet<JobId>)>>,
}

impl Foreign {
    fn not_seen_lately(&self, hints: Vec<Hint>) -> Vec<Hint> {
        if hints.is_empty() {
            return hints;
        }
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, ids) = seen.get_or_insert_with(|| (now, HashSet::new()));
        if now.duration_since(*since) >= FOREIGN_MEMORY {
            (*since, *ids) = (now, HashSet::new());
        }
        hints
            .into_iter()
            .filter(|hint| ids.insert(hint.id))
            .collect()
    }
}
