//! From a claim to the end of its attempt.

use std::{collections::HashSet, time::Duration};

use super::{
    Fixture,
    fixture::{failure, finish, kinds, new_job, noise, now, retry_in, success, tenant},
};
use crate::{
    clock::SystemClock,
    job::{
        AttemptOutcome, Body, ClaimedJob, JobId, JobResult, LeaseId, NewJob, Outcome, Progress,
        State,
    },
    store::{FinishOutcome, INLINE_LIMIT, LogLine, ProgressReport, ResultLookup},
};

pub(super) async fn a_claim_takes_queued_jobs_of_its_kinds_once(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let queued = fixture.insert(new_job()).await;
    let scheduled = fixture
        .insert(NewJob {
            run_at: now().after(Duration::from_secs(60)),
            ..new_job()
        })
        .await;
    let foreign = fixture
        .insert(NewJob {
            kind: "other".parse().unwrap(),
            ..new_job()
        })
        .await;
    let unknown = JobId::generate(&SystemClock);

    let claimed_at = now();
    let ids = [queued, queued, scheduled, foreign, unknown];
    let claimed = fixture
        .store
        .claim(lease, &ids, &kinds(), claimed_at)
        .await
        .unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].id, claimed[0].attempt), (queued, 1));
    assert_eq!(claimed[0].started_at, claimed_at);
    let job = fixture.get(queued).await;
    assert_eq!(job.lifecycle.state, State::Running);
    assert_eq!(job.started_at, Some(claimed_at));
    assert!(
        fixture.claim(lease, &ids).await.is_empty(),
        "a claimed job is no longer queued"
    );
    assert_eq!(fixture.state(scheduled).await, State::Scheduled);
    assert_eq!(fixture.state(foreign).await, State::Queued);
}

pub(super) async fn a_claimed_job_that_makes_no_sense_fails_alone(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let damaged = NewJob {
        queue: "damaged".parse().unwrap(),
        ..new_job()
    };
    let ids = [
        fixture.insert(new_job()).await,
        fixture.insert(damaged).await,
        fixture.insert(new_job()).await,
    ];
    let no_metadata = "UPDATE jobs SET metadata = '{' WHERE queue = 'damaged'";
    fixture.execute(no_metadata).await;
    let claimed = fixture.claim(lease, &ids).await;
    let claimed: HashSet<JobId> = claimed.iter().map(|job| job.id).collect();
    assert_eq!(claimed, HashSet::from([ids[0], ids[2]]));
    let metadata_again = "UPDATE jobs SET metadata = '{}' WHERE queue = 'damaged'";
    fixture.execute(metadata_again).await;
    let failed = fixture.get(ids[1]).await;
    assert_eq!(failed.lifecycle.state, State::Failed);
    let message = failed.failure.unwrap().message;
    assert!(message.contains("metadata"), "{message}");
}

pub(super) async fn a_claim_whose_answer_was_lost_gives_the_same_jobs(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let ids = fixture.insert_many(5).await;
    let claimed_at = now();
    let first = fixture
        .store
        .claim(lease, &ids, &kinds(), claimed_at)
        .await
        .unwrap();
    let again = fixture
        .store
        .claim(lease, &ids, &kinds(), claimed_at)
        .await
        .unwrap();
    let key = |jobs: &[ClaimedJob]| -> HashSet<(JobId, u32)> {
        jobs.iter().map(|job| (job.id, job.attempt)).collect()
    };
    assert_eq!(key(&first).len(), 5);
    assert_eq!(
        key(&first),
        key(&again),
        "not claimed twice, and not forgotten"
    );
}

pub(super) async fn claims_side_by_side_take_each_job_once(fixture: &Fixture) {
    let ids = fixture.insert_many(300).await;
    let claims = (0..6).map(|worker| {
        let mut ids = ids.clone();
        ids.rotate_left(worker * 50);
        async move {
            let lease = fixture.lease().await;
            let mut claimed = Vec::new();
            for group in ids.chunks(40) {
                claimed.extend(fixture.claim(lease, group).await);
            }
            claimed
        }
    });
    let claimed: Vec<ClaimedJob> = futures::future::join_all(claims)
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(claimed.len(), 300);
    let distinct: HashSet<JobId> = claimed.iter().map(|job| job.id).collect();
    assert_eq!(distinct.len(), 300);
    assert!(claimed.iter().all(|job| job.attempt == 1));
}

pub(super) async fn a_result_reads_back_byte_for_byte(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for size in [0, 1, INLINE_LIMIT] {
        let job = fixture.running(lease).await;
        let before = fixture.store.result(&tenant(), job.id).await.unwrap();
        assert!(matches!(before, ResultLookup::NoResult(_)));
        let expected = JobResult {
            content_type: "image/x-noise".to_owned(),
            status: Some(418),
            headers: vec![
                ("set-cookie".to_owned(), "a=1".to_owned()),
                ("set-cookie".to_owned(), "b=2".to_owned()),
            ],
            body: Body::Inline(noise(size)),
        };
        fixture
            .finish(&job, Outcome::Succeeded(expected.clone()))
            .await;
        match fixture.store.result(&tenant(), job.id).await.unwrap() {
            ResultLookup::Found { job, result } => {
                assert_eq!(job.lifecycle.state, State::Succeeded);
                assert!(result == expected, "{size} bytes");
                let retained = job.expires_at.unwrap().since(job.finished_at.unwrap());
                assert_eq!(retained, Duration::from_secs(3_600));
            }
            other => panic!("{size} bytes: {other:?}"),
        }
    }
    let unknown = JobId::generate(&SystemClock);
    let lookup = fixture.store.result(&tenant(), unknown).await.unwrap();
    assert_eq!(lookup, ResultLookup::NoJob);
}

pub(super) async fn only_the_newest_attempt_finishes(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    let other_lease = ClaimedJob {
        lease: LeaseId::generate(&SystemClock),
        ..job.clone()
    };
    let other_attempt = ClaimedJob {
        attempt: 2,
        ..job.clone()
    };
    let unknown = ClaimedJob {
        id: JobId::generate(&SystemClock),
        ..job.clone()
    };
    for stale in [&other_lease, &other_attempt, &unknown] {
        for outcome in [
            success(),
            Outcome::Failed(failure()),
            Outcome::Cancelled,
            retry_in(1),
            Outcome::Released,
        ] {
            assert_eq!(fixture.finish(stale, outcome).await, FinishOutcome::Stale);
        }
    }
    assert_eq!(fixture.state(job.id).await, State::Running);

    // A zombie: its lease ended, its job was rescued, and it still reports.
    fixture.store.close_lease(lease).await.unwrap();
    fixture.store.rescue(now(), 100).await.unwrap();
    assert_eq!(fixture.finish(&job, success()).await, FinishOutcome::Stale);
    let lease = fixture.lease().await;
    let second = fixture.claim_suspects(lease, &[job.id]).await;
    let second = second.into_iter().next().unwrap();
    assert_eq!(fixture.finish(&job, success()).await, FinishOutcome::Stale);
    let recorded = fixture.finish(&second, Outcome::Failed(failure())).await;
    assert_eq!(recorded, FinishOutcome::Recorded(State::Failed));
    assert_eq!(fixture.finish(&job, success()).await, FinishOutcome::Stale);
    assert_eq!(
        fixture.state(job.id).await,
        State::Failed,
        "terminal states never change"
    );
}

pub(super) async fn a_finish_asked_twice_is_recorded_once(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for (outcome, state) in [
        (success(), State::Succeeded),
        (Outcome::Failed(failure()), State::Failed),
        (Outcome::Cancelled, State::Cancelled),
        (retry_in(60_000), State::Scheduled),
    ] {
        let job = fixture.running(lease).await;
        let first = fixture.finish(&job, outcome.clone()).await;
        assert_eq!(first, FinishOutcome::Recorded(state));
        let before = fixture.get(job.id).await;
        let again = fixture.finish(&job, outcome).await;
        assert_eq!(again, FinishOutcome::AlreadyRecorded(state));
        assert_eq!(fixture.get(job.id).await, before);
    }
    // A whole group of them, of every sort, in order.
    let jobs = [
        fixture.running(lease).await,
        fixture.running(lease).await,
        fixture.running(lease).await,
    ];
    let group = vec![
        finish(&jobs[0], success()),
        finish(&jobs[1], Outcome::Failed(failure())),
        finish(&jobs[2], Outcome::Released),
    ];
    assert_eq!(
        fixture.store.finish(group).await.unwrap(),
        [State::Succeeded, State::Failed, State::Queued].map(FinishOutcome::Recorded)
    );
}

pub(super) async fn a_retry_waits_for_its_time_and_keeps_its_history(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    let recorded = fixture.finish(&job, retry_in(500)).await;
    assert_eq!(recorded, FinishOutcome::Recorded(State::Scheduled));
    let waiting = fixture.get(job.id).await;
    assert_eq!(waiting.failure, Some(failure()));
    assert!(
        fixture
            .store
            .enqueue_due(now(), 10)
            .await
            .unwrap()
            .is_empty(),
        "not yet"
    );
    let due = waiting.run_at.after(Duration::from_millis(1));
    let hints = fixture.store.enqueue_due(due, 10).await.unwrap();
    assert_eq!(hints.len(), 1);
    assert_eq!(hints[0].id, job.id);
    let second = fixture.claim(lease, &[job.id]).await.pop().unwrap();
    assert_eq!(second.attempt, 2);
    assert_eq!(second.previous_backoff, Some(Duration::from_millis(500)));
    fixture.finish(&second, success()).await;

    let attempts = fixture
        .store
        .attempts(&tenant(), job.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Failed));
    assert_eq!(attempts[0].failure, Some(failure()));
    assert_eq!(attempts[1].outcome, Some(AttemptOutcome::Succeeded));
    assert_eq!(attempts[1].worker.as_deref(), Some("a-worker"));
    assert_eq!(
        fixture.get(job.id).await.failure,
        None,
        "what ended well carries no error"
    );
}

pub(super) async fn a_failed_job_keeps_its_failure(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    let details = failure().with_details(serde_json::json!({"exit_status": 3}));
    fixture.finish(&job, Outcome::Failed(details.clone())).await;
    let failed = fixture.get(job.id).await;
    assert_eq!(failed.failure, Some(details));
    assert!(failed.finished_at.is_some() && failed.expires_at.is_some());
    let result = fixture.store.result(&tenant(), job.id).await.unwrap();
    assert!(matches!(result, ResultLookup::NoResult(_)));

    let last = NewJob {
        max_attempts: 1,
        ..new_job()
    };
    let job = fixture.running_as(lease, last).await;
    let recorded = fixture.finish(&job, retry_in(1)).await;
    assert_eq!(
        recorded,
        FinishOutcome::Recorded(State::Failed),
        "no attempt is left"
    );
}

pub(super) async fn a_released_attempt_does_not_count(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    let recorded = fixture.finish(&job, Outcome::Released).await;
    assert_eq!(recorded, FinishOutcome::Recorded(State::Queued));
    assert_eq!(fixture.get(job.id).await.lifecycle.attempt, 0);
    let again = fixture
        .claim(fixture.lease().await, &[job.id])
        .await
        .pop()
        .unwrap();
    assert_eq!(again.attempt, 1);
    assert_eq!(
        fixture.finish(&job, success()).await,
        FinishOutcome::Stale,
        "another's lease"
    );
    fixture.finish(&again, success()).await;
    let attempts = fixture
        .store
        .attempts(&tenant(), job.id)
        .await
        .unwrap()
        .unwrap();
    let outcomes: Vec<_> = attempts
        .iter()
        .filter_map(|attempt| attempt.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [AttemptOutcome::Released, AttemptOutcome::Succeeded]
    );
}

pub(super) async fn a_release_asked_again_leaves_the_next_attempt_alone(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    fixture.finish(&job, Outcome::Released).await;
    let again = fixture.claim(lease, &[job.id]).await.pop().unwrap();
    assert_eq!((again.attempt, again.lease), (job.attempt, job.lease));
    let outcome = fixture.finish(&job, Outcome::Released).await;
    assert_eq!(outcome, FinishOutcome::Stale);
    assert_eq!(fixture.state(job.id).await, State::Running);
    fixture.finish(&again, Outcome::Released).await;
    assert_eq!(fixture.state(job.id).await, State::Queued);
}

pub(super) async fn progress_is_the_newest_attempts(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    let report = |attempt, percent| ProgressReport {
        id: job.id,
        attempt,
        lease,
        progress: Progress {
            percent,
            message: Some("half \"way\"".to_owned()),
        },
    };
    let (current, stale) = (report(1, 50.0), report(2, 99.0));
    fixture
        .store
        .record_progress(&[current.clone(), stale])
        .await
        .unwrap();
    assert_eq!(
        fixture.get(job.id).await.progress,
        Some(current.progress.clone())
    );
    fixture.finish(&job, retry_in(0)).await;
    fixture
        .store
        .record_progress(&[report(1, 75.0)])
        .await
        .unwrap();
    assert_eq!(fixture.get(job.id).await.progress, Some(current.progress));
    let due = now().after(Duration::from_secs(1));
    fixture.store.enqueue_due(due, 10).await.unwrap();
    fixture.claim(lease, &[job.id]).await;
    assert_eq!(
        fixture.get(job.id).await.progress,
        None,
        "a new attempt begins anew"
    );
}

pub(super) async fn logs_are_kept_in_order_and_once(fixture: &Fixture) {
    let id = fixture.insert(new_job()).await;
    let begin = now();
    let line = |attempt: u32, sequence| LogLine {
        job: id,
        attempt,
        started_at: begin.after(Duration::from_secs(attempt.into())),
        sequence,
        logged_at: now(),
        text: format!("line {attempt}.{sequence}"),
    };
    let lines = [line(1, 1), line(2, 0), line(1, 0)];
    fixture.store.append_logs(&lines).await.unwrap();
    fixture.store.append_logs(&lines).await.unwrap();
    let read = async |offset, limit| {
        let lines = fixture
            .store
            .logs(&tenant(), id, offset, limit)
            .await
            .unwrap()
            .unwrap();
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 10).await, ["line 1.0", "line 1.1", "line 2.0"]);
    assert_eq!(read(1, 1).await, ["line 1.1"]);
    assert!(read(3, 10).await.is_empty());
    let under_a_number_handed_back = LogLine {
        started_at: begin.after(Duration::from_secs(3)),
        text: "line of the next under 2".to_owned(),
        ..line(2, 0)
    };
    fixture
        .store
        .append_logs(&[under_a_number_handed_back])
        .await
        .unwrap();
    assert_eq!(read(2, 10).await, ["line 2.0", "line of the next under 2"]);
    let unknown = JobId::generate(&SystemClock);
    let lines = fixture.store.logs(&tenant(), unknown, 0, 10).await.unwrap();
    assert_eq!(lines, None);
}
