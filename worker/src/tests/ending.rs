//! How jobs end by themselves.

use std::time::Duration;

use coatcheck_shared::{
    clock::Clock,
    job::{AttemptOutcome, State, Tenant, failure::FailureType},
    store::ResultLookup,
};

use super::{
    bed::Bed,
    script::{Record, Script},
};

#[tokio::test]
async fn a_result_is_kept_as_the_handler_gave_it() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::Succeed).await;
    assert_eq!(bed.finished(id).await.lifecycle.state, State::Succeeded);
    let kept = bed.backend.store.result(&Tenant::default(), id).await;
    let ResultLookup::Found { result, .. } = kept.unwrap() else {
        panic!("no result")
    };
    assert_eq!(result.body, "done");
    assert_eq!(result.content_type, "text/plain");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_another_and_stays_in_the_history() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::SucceedAtAttempt(3)).await;
    assert_eq!(bed.finished(id).await.lifecycle.state, State::Succeeded);
    assert_eq!(record.executions()[&id], [1, 2, 3]);
    let attempts = bed.backend.store.attempts(&Tenant::default(), id).await;
    let outcomes: Vec<_> = attempts
        .unwrap()
        .unwrap()
        .iter()
        .map(|attempt| attempt.outcome.unwrap())
        .collect();
    assert_eq!(
        outcomes,
        [
            AttemptOutcome::Failed,
            AttemptOutcome::Failed,
            AttemptOutcome::Succeeded
        ]
    );
    worker.end().await.unwrap();
}

#[tokio::test]
async fn attempts_run_out() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::SucceedAtAttempt(9)).await;
    let job = bed.finished(id).await;
    assert_eq!(job.lifecycle.state, State::Failed);
    assert_eq!(job.failure.unwrap().message, "not yet");
    assert_eq!(record.executions()[&id], [1, 2, 3]);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_job_that_says_never_is_not_tried_again() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let id = bed.run(Script::Fail).await;
    let failure = bed.finished(id).await.failure.unwrap();
    assert_eq!(failure.failure_type, FailureType::Error);
    assert_eq!(failure.details.unwrap()["code"], 7);
    assert_eq!(record.executions()[&id], [1]);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_panic_is_recorded_with_what_it_said_and_its_neighbours_go_on() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let neighbour = bed.run(Script::SleepMs(300)).await;
    let mut job = bed.job(&Script::Panic);
    job.max_attempts = 2;
    let id = bed.submit_one(job).await;
    let failure = bed.finished(id).await.failure.unwrap();
    assert_eq!(failure.failure_type, FailureType::Panic);
    assert_eq!(failure.message, "out of cheese");
    assert_eq!(record.executions()[&id], [1, 2]);
    let neighbour = bed.finished(neighbour).await;
    assert_eq!(neighbour.lifecycle.state, State::Succeeded);
    assert_eq!(neighbour.lifecycle.attempt, 1);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_timeout_ends_the_attempt_and_a_deadline_the_job() {
    let (bed, record) = (Bed::new("").await, Record::default());
    let worker = bed.start(record.registry());
    let mut limited = bed.job(&Script::SleepMs(60_000));
    limited.timeout = Some(Duration::from_millis(100));
    limited.max_attempts = 2;
    let mut late = bed.job(&Script::SleepMs(60_000));
    late.deadline_at = Some(bed.backend.clock.now().after(Duration::from_millis(500)));
    let ids = bed.submit(vec![limited, late]).await;
    let limited = bed.finished(ids[0]).await;
    assert_eq!(limited.failure.unwrap().failure_type, FailureType::Timeout);
    assert_eq!(record.executions()[&ids[0]], [1, 2]);
    let late = bed.finished(ids[1]).await;
    assert_eq!(late.failure.unwrap().failure_type, FailureType::Deadline);
    assert_eq!(record.executions()[&ids[1]], [1]);
    assert_eq!(record.dropped(), 3);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_the_job_and_says_the_limit() {
    let bed = Bed::new("worker.result_bytes = 1000").await;
    let worker = bed.start(Record::default().registry());
    let (fits, too_large) = (
        bed.run(Script::ResultOfBytes(1_000)).await,
        bed.run(Script::ResultOfBytes(1_001)).await,
    );
    assert_eq!(bed.finished(fits).await.lifecycle.state, State::Succeeded);
    let failure = bed.finished(too_large).await.failure.unwrap();
    assert!(
        failure.message.contains("worker.result_bytes"),
        "{failure:?}"
    );
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_finished_job_has_all_its_lines_and_its_last_progress() {
    let bed = Bed::new("").await;
    let worker = bed.start(Record::default().registry());
    let id = bed.run(Script::LogLines(1_200)).await;
    let job = bed.finished(id).await;
    let tenant = Tenant::default();
    let lines = bed.backend.store.logs(&tenant, id, 0, 5_000);
    let lines = lines.await.unwrap().unwrap();
    assert_eq!(lines.len(), 1_200);
    assert_eq!(lines[1_199].text, "line 1199");
    assert_eq!(job.progress.unwrap().message.unwrap(), "half way");
    worker.end().await.unwrap();
}
