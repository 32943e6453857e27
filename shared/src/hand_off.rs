//! From a submission to the worker of the same process, without a detour.
//!
//! A worker that has found no hint leaves an offer here. Whoever stores jobs next takes it, and has
//! those that fit claimed in the very commit that stores them: no hint, no claim of its own, and one
//! commit less that the job waits for. The guarantees are those of any claim: the row is running
//! under a lease that has not ended, or it is queued.

use std::{
    collections::HashSet,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    claim_times::ClaimTimes,
    job::{ClaimedJob, JobId, KindName, LeaseId, NewJob, QueueName, State},
    store::FirstClaim,
    timestamp::Timestamp,
};

/// Where a worker and whoever stores jobs in the same process meet. It holds one offer at most.
#[derive(Clone, Default)]
pub struct HandOff(Arc<Mutex<Option<Open>>>);

/// An offer, and how its worker is told that it was taken.
struct Open {
    offer: Offer,
    taker: oneshot::Sender<Taken>,
}

/// What a worker would run at once.
pub struct Offer {
    /// The lease under which it claims.
    pub lease: LeaseId,
    /// Where its claims have their times from.
    pub times: Arc<ClaimTimes>,
    /// The queues that it serves.
    pub queues: HashSet<QueueName>,
    /// The kinds that it has handlers for.
    pub kinds: HashSet<KindName>,
    /// How many jobs it has room for.
    pub most: usize,
    /// Fires when the lease can no longer be relied on.
    pub lease_lost: CancellationToken,
    /// Fires when it takes no more.
    pub draining: CancellationToken,
}

/// An offer that was taken, as the worker sees it.
pub struct Taken {
    /// The jobs that are being stored and claimed. Whether they are there is not known yet.
    pub ids: Vec<JobId>,
    /// The time of the claim: the same claim is asked again where nobody says what became of it.
    pub now: Timestamp,
    /// Those of them that are claimed. Dropped where it is not known.
    pub claimed: oneshot::Receiver<Vec<ClaimedJob>>,
}

/// An offer that was taken, as it is seen by whoever stores the jobs.
pub struct HandedOver {
    /// The claim to be made.
    pub claim: FirstClaim,
    claimed: oneshot::Sender<Vec<ClaimedJob>>,
}

impl HandedOver {
    /// Hands the jobs over, once they are claimed. Dropped without this, it has the worker ask.
    pub fn settle(self, claimed: Vec<ClaimedJob>) {
        // A worker that has gone leaves them to the rescuer, as it does all that it has claimed.
        let _ = self.claimed.send(claimed);
    }
}

impl HandOff {
    /// Leaves an offer, until it is taken or what this returns is dropped.
    pub fn offer(&self, offer: Offer) -> Offered<'_> {
        let (taker, taken) = oneshot::channel();
        *self.lock() = Some(Open { offer, taker });
        Offered {
            hand_off: self,
            taken,
        }
    }

    /// Takes the offer that is there, for those of these new jobs that fit it, the most urgent
    /// first. None where there is no offer, or none of them fits.
    pub fn take(&self, jobs: &[NewJob], now: Timestamp) -> Option<HandedOver> {
        let mut place = self.lock();
        let fitting = place.as_ref()?.offer.fitting(jobs, now);
        let newest = fitting.iter().map(|job| job.created_at).max()?;
        let Open { offer, taker } = place.take()?;
        let ids: Vec<JobId> = fitting.iter().map(|job| job.id).collect();
        let now = offer.times.next(now.max(newest));
        let (sender, claimed) = oneshot::channel();
        let claim = FirstClaim {
            lease: offer.lease,
            now,
            ids: ids.iter().copied().collect(),
        };
        let is_told = taker.send(Taken { ids, now, claimed }).is_ok();
        is_told.then_some(HandedOver {
            claim,
            claimed: sender,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An offer that is there until it is taken, or this is dropped.
pub struct Offered<'a> {
    hand_off: &'a HandOff,
    taken: oneshot::Receiver<Taken>,
}

impl Offered<'_> {
    /// Waits until the offer is taken.
    pub async fn taken(&mut self) -> Taken {
        match (&mut self.taken).await {
            Ok(taken) => taken,
            // Another offer has taken its place.
            Err(_) => pending().await,
        }
    }

    /// Takes the offer back. What it was taken for, where somebody was faster.
    pub fn withdraw(mut self) -> Option<Taken> {
        self.taken.close();
        self.taken.try_recv().ok()
    }
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        self.taken.close();
        let mut place = self.hand_off.lock();
        if place.as_ref().is_some_and(|open| open.taker.is_closed()) {
            *place = None;
        }
    }
}

impl Offer {
    /// Those of the jobs that could be claimed now, the most urgent first, as many as there is room
    /// for.
    fn fitting<'a>(&self, jobs: &'a [NewJob], now: Timestamp) -> Vec<&'a NewJob> {
        if self.lease_lost.is_cancelled() || self.draining.is_cancelled() {
            return Vec::new();
        }
        let is_before = |end: Option<Timestamp>| end.is_none_or(|end| now < end);
        let mut fitting: Vec<&NewJob> = jobs
            .iter()
            .filter(|job| {
                job.lifecycle().state == State::Queued
                    && self.queues.contains(&job.queue)
                    && self.kinds.contains(&job.kind)
                    && is_before(job.start_by)
                    && is_before(job.deadline_at)
            })
            .collect();
        if fitting.len() > self.most {
            fitting.sort_by_key(|job| job.priority.rank());
            fitting.truncate(self.most);
        }
        fitting
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        job::Priority,
        store::conformance::new_job,
    };

    fn offer(most: usize) -> Offer {
        Offer {
            lease: LeaseId::generate(&SystemClock),
            times: Arc::default(),
            queues: ["default".parse().unwrap()].into(),
            kinds: ["test".parse().unwrap()].into(),
            most,
            lease_lost: CancellationToken::new(),
            draining: CancellationToken::new(),
        }
    }

    fn ids<'a>(jobs: impl IntoIterator<Item = &'a NewJob>) -> Vec<JobId> {
        jobs.into_iter().map(|job| job.id).collect()
    }

    fn take(hand_off: &HandOff, jobs: &[NewJob]) -> Option<HandedOver> {
        hand_off.take(jobs, SystemClock.now())
    }

    #[tokio::test]
    async fn an_offer_is_taken_once_for_what_fits_it() {
        let now = SystemClock.now();
        let jobs = [
            new_job(),
            NewJob {
                queue: "another".parse().unwrap(),
                ..new_job()
            },
            NewJob {
                kind: "another".parse().unwrap(),
                ..new_job()
            },
            NewJob {
                run_at: now.after(Duration::from_secs(60)),
                ..new_job()
            },
            NewJob {
                start_by: Some(now),
                ..new_job()
            },
            NewJob {
                deadline_at: Some(now),
                ..new_job()
            },
        ];
        let hand_off = HandOff::default();
        let mut offered = hand_off.offer(offer(10));
        assert!(take(&hand_off, &jobs[1..]).is_none(), "none of them fits");
        let handed = take(&hand_off, &jobs).unwrap();
        assert!(take(&hand_off, &jobs).is_none(), "it was taken");
        let taken = offered.taken().await;
        assert_eq!(taken.ids, ids(&jobs[..1]));
        assert_eq!(handed.claim.ids, taken.ids.iter().copied().collect());
        assert_eq!(handed.claim.now, taken.now);
        assert!(taken.now >= jobs[0].created_at);
        handed.settle(Vec::new());
        assert_eq!(taken.claimed.await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_most_urgent_go_first_where_there_is_no_room_for_all() {
        let jobs = [Priority::Low, Priority::Normal, Priority::High].map(|priority| NewJob {
            priority,
            ..new_job()
        });
        let hand_off = HandOff::default();
        let mut offered = hand_off.offer(offer(2));
        let handed = take(&hand_off, &jobs);
        assert_eq!(offered.taken().await.ids, ids([&jobs[2], &jobs[1]]));
        drop(handed);
    }

    #[tokio::test]
    async fn an_offer_ends_with_its_worker() {
        let jobs = [new_job()];
        let hand_off = HandOff::default();
        assert!(take(&hand_off, &jobs).is_none());
        drop(hand_off.offer(offer(1)));
        assert!(take(&hand_off, &jobs).is_none(), "it was dropped");
        assert!(hand_off.offer(offer(1)).withdraw().is_none());
        assert!(take(&hand_off, &jobs).is_none(), "it was withdrawn");
        let draining = offer(1);
        draining.draining.cancel();
        let offered = hand_off.offer(draining);
        assert!(take(&hand_off, &jobs).is_none(), "it takes no more");
        drop(offered);
        let lost = offer(1);
        lost.lease_lost.cancel();
        let offered = hand_off.offer(lost);
        assert!(take(&hand_off, &jobs).is_none(), "its lease is lost");
        drop(offered);

        let offered = hand_off.offer(offer(1));
        let handed = take(&hand_off, &jobs).unwrap();
        let taken = offered.withdraw().expect("somebody was faster");
        drop(handed);
        assert!(taken.claimed.await.is_err(), "nobody says what came of it");
    }

    #[tokio::test]
    async fn no_two_claims_have_one_time() {
        let (hand_off, times) = (HandOff::default(), Arc::new(ClaimTimes::default()));
        let now = SystemClock.now();
        let mut seen = HashSet::new();
        for _ in 0..100 {
            let _offered = hand_off.offer(Offer {
                times: times.clone(),
                ..offer(1)
            });
            let handed = hand_off.take(&[new_job()], now).unwrap();
            assert!(seen.insert(handed.claim.now));
        }
    }
}
