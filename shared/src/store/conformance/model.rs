//! Random walks: after every move the store's row is what the pure state machine says.

use std::{collections::HashMap, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Fixture,
    fixture::{failure, kinds, new_job, now, retry_in, success, tenant},
};
use crate::{
    job::{ClaimedJob, IllegalMove, JobId, LeaseId, Lifecycle, NewJob, Outcome},
    store::FinishOutcome,
};

const SEED: u64 = 20_261_123;
const JOBS: usize = 12;
const STEPS: usize = 600;

/// A job as the model has it.
struct Modelled {
    lifecycle: Lifecycle,
    claimed: Option<ClaimedJob>,
}

struct Walk<'a> {
    fixture: &'a Fixture,
    jobs: HashMap<JobId, Modelled>,
}

pub(super) async fn random_walks_agree_with_the_state_machine(fixture: &Fixture) {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut walk = Walk {
        fixture,
        jobs: HashMap::new(),
    };
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        let job = NewJob {
            max_attempts: random.random_range(1..5),
            ..new_job()
        };
        let lifecycle = job.lifecycle();
        let id = fixture.insert(job).await;
        let claimed = None;
        walk.jobs.insert(id, Modelled { lifecycle, claimed });
        ids.push(id);
    }
    for step in 0..STEPS {
        let id = ids[random.random_range(0..JOBS)];
        let chosen = random.random_range(0..10);
        walk.step(id, chosen).await;
        let actual = fixture.get(id).await.lifecycle;
        assert_eq!(
            actual, walk.jobs[&id].lifecycle,
            "step {step}, move {chosen}, seed {SEED}"
        );
    }
}

impl Walk<'_> {
    async fn step(&mut self, id: JobId, chosen: u32) {
        match chosen {
            0 | 1 => self.claim(id).await,
            2 => self.finish(id, success(), Lifecycle::succeed).await,
            3 => {
                self.finish(id, Outcome::Failed(failure()), Lifecycle::fail)
                    .await
            }
            4 | 5 => self.finish(id, retry_in(0), Lifecycle::retry_later).await,
            6 => self.finish(id, Outcome::Released, Lifecycle::release).await,
            7 => self.crash(id).await,
            8 => self.retry(id).await,
            _ => self.cancel(id).await,
        }
        self.enqueue_all().await;
    }

    /// Each claim has a lease of its own, so that one job's worker can die alone.
    async fn claim(&mut self, id: JobId) {
        let lease: LeaseId = self.fixture.lease().await;
        let job = self.jobs.get_mut(&id).unwrap();
        // Whether a worker has died under it decides which claim takes it: the other does not.
        let (store, ids, kinds) = (&self.fixture.store, [id], kinds());
        let (ordinary, suspect) = (
            store.claim(lease, &ids, &kinds, now()),
            store.claim_suspects(lease, &ids, &kinds, now()),
        );
        let claimed = if job.lifecycle.crashes == 0 {
            assert!(suspect.await.unwrap().is_empty());
            ordinary.await.unwrap()
        } else {
            assert!(ordinary.await.unwrap().is_empty());
            suspect.await.unwrap()
        };
        match job.lifecycle.claim() {
            Ok(next) => {
                job.lifecycle = next;
                job.claimed = claimed.into_iter().next();
                assert!(job.claimed.is_some());
            }
            Err(_) => assert!(claimed.is_empty()),
        }
    }

    async fn finish(
        &mut self,
        id: JobId,
        outcome: Outcome,
        make: fn(Lifecycle) -> Result<Lifecycle, IllegalMove>,
    ) {
        let job = self.jobs.get_mut(&id).unwrap();
        let Some(claimed) = job.claimed.take() else {
            return;
        };
        let recorded = self.fixture.finish(&claimed, outcome).await;
        match make(job.lifecycle) {
            Ok(next) => {
                job.lifecycle = next;
                assert_eq!(recorded, FinishOutcome::Recorded(next.state));
            }
            Err(_) => assert!(!matches!(recorded, FinishOutcome::Recorded(_))),
        }
    }

    async fn crash(&mut self, id: JobId) {
        let job = self.jobs.get_mut(&id).unwrap();
        let Some(claimed) = job.claimed.take() else {
            return;
        };
        self.fixture.store.close_lease(claimed.lease).await.unwrap();
        self.fixture.store.rescue(now(), 100).await.unwrap();
        job.lifecycle = job.lifecycle.rescue().unwrap();
        assert_eq!(
            self.fixture.finish(&claimed, success()).await,
            FinishOutcome::Stale
        );
    }

    async fn cancel(&mut self, id: JobId) {
        // Seldom, or nothing else would come to its end.
        if !id.as_uuid().as_u128().is_multiple_of(3) {
            return;
        }
        self.fixture
            .store
            .cancel(&tenant(), id, now())
            .await
            .unwrap();
        let job = self.jobs.get_mut(&id).unwrap();
        let lifecycle = job.lifecycle;
        job.lifecycle = lifecycle
            .request_cancel()
            .or_else(|_| lifecycle.cancel())
            .unwrap_or(lifecycle);
    }

    async fn retry(&mut self, id: JobId) {
        self.fixture
            .store
            .retry(&tenant(), id, now())
            .await
            .unwrap();
        let job = self.jobs.get_mut(&id).unwrap();
        job.lifecycle = job.lifecycle.retry().unwrap_or(job.lifecycle);
    }

    async fn enqueue_all(&mut self) {
        let soon = now().after(Duration::from_secs(1));
        for hint in self.fixture.store.enqueue_due(soon, 100).await.unwrap() {
            let job = self.jobs.get_mut(&hint.id).unwrap();
            job.lifecycle = job.lifecycle.enqueue().unwrap();
        }
    }
}
