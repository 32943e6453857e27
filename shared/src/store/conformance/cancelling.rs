//! Calling jobs off.

use std::time::Duration;

use futures::{StreamExt, stream};

use super::{
    Fixture,
    fixture::{failure, finish, new_job, now, retry_in, success, tenant},
};
use crate::{
    clock::SystemClock,
    job::{ClaimedJob, JobId, LeaseId, NewJob, Outcome, State},
    store::{CancelOutcome, FinishOutcome},
};

/// How many cancels are raced against the ends of their jobs, and how many at once.
const RACES: usize = 10_000;
const RACED_AT_ONCE: usize = 25;

pub(super) async fn a_cancel_is_obeyed_in_every_state(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let store = &fixture.store;
    let cancel = async |id| store.cancel(&tenant(), id, now()).await.unwrap();
    assert_eq!(cancel(JobId::generate(&SystemClock)).await, None);

    let scheduled = NewJob {
        run_at: now().after(Duration::from_secs(60)),
        ..new_job()
    };
    for job in [new_job(), scheduled] {
        let id = fixture.insert(job).await;
        let outcome = cancel(id).await;
        assert!(
            matches!(outcome, Some(CancelOutcome::Cancelled(_))),
            "{outcome:?}"
        );
        assert!(
            fixture.claim(lease, &[id]).await.is_empty(),
            "no attempt starts any more"
        );
        let far = now().after(Duration::from_secs(600));
        assert!(store.enqueue_due(far, 10).await.unwrap().is_empty());
        assert!(matches!(
            cancel(id).await,
            Some(CancelOutcome::AlreadyCancelled(_))
        ));
    }

    let job = fixture.running(lease).await;
    assert!(matches!(
        cancel(job.id).await,
        Some(CancelOutcome::Requested(_))
    ));
    assert!(
        matches!(cancel(job.id).await, Some(CancelOutcome::Requested(_))),
        "asked again"
    );
    assert_eq!(store.cancel_requests(lease).await.unwrap(), [job.id]);
    assert!(
        store
            .cancel_requests(fixture.lease().await)
            .await
            .unwrap()
            .is_empty()
    );
    fixture.finish(&job, Outcome::Cancelled).await;
    assert_eq!(fixture.state(job.id).await, State::Cancelled);
    assert!(store.cancel_requests(lease).await.unwrap().is_empty());

    let job = fixture.running(lease).await;
    fixture.finish(&job, success()).await;
    assert!(matches!(
        cancel(job.id).await,
        Some(CancelOutcome::Finished(_))
    ));
}

pub(super) async fn a_job_told_to_stop_is_not_tried_again(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for outcome in [retry_in(1), Outcome::Released] {
        let job = fixture.running(lease).await;
        fixture
            .store
            .cancel(&tenant(), job.id, now())
            .await
            .unwrap();
        let recorded = fixture.finish(&job, outcome).await;
        assert_eq!(recorded, FinishOutcome::Recorded(State::Cancelled));
    }
    // What was done before it heard of it counts.
    let job = fixture.running(lease).await;
    fixture
        .store
        .cancel(&tenant(), job.id, now())
        .await
        .unwrap();
    assert_eq!(
        fixture.finish(&job, success()).await,
        FinishOutcome::Recorded(State::Succeeded)
    );
}

/// Jobs are claimed and end, in every way, while each is called off.
pub(super) async fn the_answer_to_a_cancel_agrees_with_the_final_state(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let mut answers = [0; 3];
    for round in 0..RACES / RACED_AT_ONCE {
        let ids = fixture.insert_many(RACED_AT_ONCE).await;
        let (recorded, cancelled) = tokio::join!(
            run_all(fixture, lease, &ids),
            cancel_all(fixture, &ids, round)
        );
        for (id, answer) in cancelled {
            let state = fixture.get(id).await.lifecycle.state;
            let recorded = recorded.iter().find(|(ended, _)| *ended == id);
            let recorded = recorded.map(|(_, outcome)| *outcome);
            assert!(
                state.is_terminal() && agree(&answer, recorded, state),
                "{answer:?}, {recorded:?}, {state}"
            );
            answers[place_of(&answer)] += 1;
        }
    }
    let total: usize = answers.iter().sum();
    assert_eq!(total, RACES);
    assert!(
        answers.iter().all(|count| *count > 0),
        "there was no race: {answers:?}"
    );
}

/// Whether the answer to a cancel fits what was recorded of the attempt, if there was one, and the
/// state in the end.
fn agree(answer: &CancelOutcome, recorded: Option<FinishOutcome>, state: State) -> bool {
    match answer {
        // No attempt starts any more: the end of one can only have come before.
        CancelOutcome::Cancelled(_) => {
            let before = [State::Scheduled, State::Queued].map(FinishOutcome::Recorded);
            state == State::Cancelled && recorded.is_none_or(|ended| before.contains(&ended))
        }
        CancelOutcome::Requested(_) => recorded == Some(FinishOutcome::Recorded(state)),
        CancelOutcome::Finished(job) => {
            job.lifecycle.state == state && recorded == Some(FinishOutcome::Recorded(state))
        }
        CancelOutcome::AlreadyCancelled(_) => false,
    }
}

fn place_of(answer: &CancelOutcome) -> usize {
    match answer {
        CancelOutcome::Cancelled(_) | CancelOutcome::AlreadyCancelled(_) => 0,
        CancelOutcome::Requested(_) => 1,
        CancelOutcome::Finished(_) => 2,
    }
}

/// Claims jobs and ends them in groups, in each of the ways there are; what was recorded.
async fn run_all(fixture: &Fixture, lease: LeaseId, ids: &[JobId]) -> Vec<(JobId, FinishOutcome)> {
    let claimed: Vec<ClaimedJob> = fixture.claim(lease, ids).await;
    let ways = [
        success(),
        Outcome::Failed(failure()),
        retry_in(60_000),
        Outcome::Released,
        success(),
    ];
    let mut recorded = Vec::with_capacity(claimed.len());
    for group in claimed.chunks(ways.len()) {
        let finishes = group
            .iter()
            .zip(&ways)
            .map(|(job, way)| finish(job, way.clone()));
        let outcomes = fixture.store.finish(finishes.collect()).await.unwrap();
        recorded.extend(group.iter().map(|job| job.id).zip(outcomes));
    }
    recorded
}

async fn cancel_all(fixture: &Fixture, ids: &[JobId], round: usize) -> Vec<(JobId, CancelOutcome)> {
    let tenant = &tenant();
    let mut order = ids.to_vec();
    order.rotate_left(round % ids.len());
    stream::iter(order)
        .map(|id| async move {
            let outcome = fixture.store.cancel(tenant, id, now()).await.unwrap();
            (id, outcome.unwrap())
        })
        .buffer_unordered(4)
        .collect()
        .await
}
