//! Jobs that are claimed in the commit that stores them.

use std::time::Duration;

use super::{
    Fixture,
    fixture::{finish, kinds, new_job, noise, now, success},
};
use crate::{
    clock::SystemClock,
    job::{ClaimedJob, Idempotency, Inserted, JobId, LeaseId, NewJob, State},
    store::{FinishOutcome, FirstClaim, FirstClaimed, INLINE_LIMIT},
};

fn claim_of<'a>(lease: LeaseId, jobs: impl IntoIterator<Item = &'a NewJob>) -> FirstClaim {
    FirstClaim {
        lease,
        now: now(),
        ids: jobs.into_iter().map(|job| job.id).collect(),
    }
}

async fn insert_and_claim(fixture: &Fixture, jobs: &[NewJob], claim: &FirstClaim) -> FirstClaimed {
    let stored = fixture.store.insert_and_claim(jobs.to_vec(), claim.clone());
    stored.await.unwrap()
}

fn in_order(mut jobs: Vec<ClaimedJob>) -> Vec<ClaimedJob> {
    jobs.sort_by_key(|job| job.id);
    jobs
}

fn with_everything() -> NewJob {
    NewJob {
        payload_type: "text/plain".to_owned(),
        payload: noise(INLINE_LIMIT * 3),
        timeout: Some(Duration::from_secs(5)),
        deadline_at: Some(now().after(Duration::from_secs(600))),
        start_by: Some(now().after(Duration::from_secs(300))),
        max_attempts: 7,
        metadata: [("customer".to_owned(), "42".to_owned())].into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..new_job()
    }
}

pub(super) async fn what_is_claimed_as_it_is_stored_is_as_any_claim_has_it(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let later = NewJob {
        run_at: now().after(Duration::from_secs(600)),
        ..new_job()
    };
    let jobs = [new_job(), with_everything(), later, new_job()];
    let claim = claim_of(lease, &jobs[..3]);
    let done = insert_and_claim(fixture, &jobs, &claim).await;
    assert_eq!(done.inserted, vec![Inserted::Stored { replaced: None }; 4]);
    let mut states = Vec::new();
    for job in &jobs {
        states.push(fixture.state(job.id).await);
    }
    assert_eq!(
        states,
        [
            State::Running,
            State::Running,
            State::Scheduled,
            State::Queued
        ]
    );
    let claimed = in_order(done.claimed);
    // As the same claim, asked of the rows.
    let ids: Vec<JobId> = jobs[..3].iter().map(|job| job.id).collect();
    let asked = fixture.store.claim(lease, &ids, &kinds(), claim.now).await;
    let mut asked = in_order(asked.unwrap());
    for job in &mut asked {
        job.payload = fixture.payload_of(job).await.into();
    }
    assert_eq!(claimed, asked);
    assert_eq!(claimed.len(), 2);
    let ends = claimed.iter().map(|job| finish(job, success())).collect();
    assert_eq!(
        fixture.store.finish(ends).await.unwrap(),
        [FinishOutcome::Recorded(State::Succeeded); 2]
    );
}

pub(super) async fn a_first_claim_asked_twice_gives_the_same_jobs(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let jobs: Vec<NewJob> = (0..70).map(|_| new_job()).collect();
    let claim = claim_of(lease, &jobs);
    let first = in_order(insert_and_claim(fixture, &jobs, &claim).await.claimed);
    assert_eq!(first.len(), 70);
    let again = in_order(insert_and_claim(fixture, &jobs, &claim).await.claimed);
    assert_eq!(again, first);
    // What has moved on meanwhile is not given again.
    fixture.finish(&first[0], success()).await;
    let again = in_order(insert_and_claim(fixture, &jobs, &claim).await.claimed);
    assert_eq!(again, first[1..]);
    // Nor does another claim get what is claimed.
    let other = claim_of(fixture.lease().await, &jobs);
    let others = insert_and_claim(fixture, &jobs, &other).await.claimed;
    assert_eq!(others, []);
}

pub(super) async fn nothing_new_is_claimed_without_a_live_lease(fixture: &Fixture) {
    let closed = fixture.lease().await;
    fixture.store.close_lease(closed).await.unwrap();
    for lease in [closed, LeaseId::generate(&SystemClock)] {
        let jobs = [new_job(), new_job()];
        let done = insert_and_claim(fixture, &jobs, &claim_of(lease, &jobs)).await;
        assert_eq!(done.claimed, []);
        for job in &jobs {
            assert_eq!(fixture.state(job.id).await, State::Queued);
        }
    }
}

pub(super) async fn only_what_is_stored_is_claimed(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let keyed = || NewJob {
        idempotency: Some(Idempotency {
            key: "once".to_owned(),
            fingerprint: [7; 32],
            status: 202,
            expires_at: now().after(Duration::from_secs(600)),
        }),
        ..new_job()
    };
    let jobs = [keyed(), keyed()];
    let done = insert_and_claim(fixture, &jobs, &claim_of(lease, &jobs)).await;
    let ids: Vec<JobId> = done.claimed.iter().map(|job| job.id).collect();
    assert_eq!(ids, [jobs[0].id]);
    let replayed = Inserted::Replayed {
        job: jobs[0].id,
        status: 202,
    };
    assert_eq!(done.inserted[1], replayed);
}
