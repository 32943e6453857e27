//! Payloads that lie beside their jobs' rows.

use coatcheck_shared::{
    job::{NewJob, State},
    store::{CHUNK_SIZE, INLINE_LIMIT},
};
use sqlx::Executor;

use super::{
    bed::Bed,
    script::{Script, noise},
};
use crate::{BytesHandler, HandlerError, JobContext, JobResult, RawPayload, Registry};

/// Gives back what it was given.
struct Echo;

impl BytesHandler for Echo {
    type Output = JobResult;

    fn kind(&self) -> &'static str {
        "echo"
    }

    fn description(&self) -> &'static str {
        "Gives back what it was given."
    }

    async fn run(&self, payload: RawPayload, _: &JobContext) -> Result<JobResult, HandlerError> {
        Ok(JobResult::new(payload.media_type, payload.bytes))
    }
}

fn echo(bed: &Bed, size: usize) -> NewJob {
    NewJob {
        kind: "echo".parse().unwrap(),
        payload_type: "image/x-noise".to_owned(),
        payload: noise(size).into(),
        ..bed.job(&Script::Succeed)
    }
}

fn echoes() -> Registry {
    Registry::new().register_bytes(Echo).unwrap()
}

#[tokio::test]
async fn a_large_payload_reaches_its_handler_whole() {
    let bed = Bed::new("").await;
    let worker = bed.start(echoes());
    for size in [
        INLINE_LIMIT,
        INLINE_LIMIT + 1,
        CHUNK_SIZE,
        CHUNK_SIZE + 1,
        CHUNK_SIZE * 4,
        3_000_000,
    ] {
        let id = bed.submit_one(echo(&bed, size)).await;
        let job = bed.finished(id).await;
        assert_eq!(job.lifecycle.state, State::Succeeded, "{:?}", job.failure);
        let result = bed.result(id).await;
        assert_eq!(result.content_type, "image/x-noise");
        assert!(
            bed.bytes_of(&result, id).await == noise(size),
            "{size} bytes"
        );
    }
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_payload_whose_reading_is_refused_fails_its_jobs_attempts() {
    let bed = Bed::new("").await;
    let refused = bed.submit_one(echo(&bed, INLINE_LIMIT + 1)).await;
    let small = bed.submit_one(echo(&bed, INLINE_LIMIT)).await;
    let no_row_can_be_read = "ALTER TABLE chunks RENAME TO stored_chunks; \
                              CREATE VIEW chunks AS SELECT job_id, attempt, sequence, \
                              abs(-9223372036854775808) AS body FROM stored_chunks";
    bed.connect()
        .await
        .execute(no_row_can_be_read)
        .await
        .unwrap();

    let worker = bed.start(echoes());
    let job = bed.finished(small).await;
    assert_eq!(job.lifecycle.state, State::Succeeded);
    let job = bed.finished(refused).await;
    let end = (job.lifecycle.state, job.lifecycle.attempt);
    assert_eq!(end, (State::Failed, 3));
    let message = job.failure.unwrap().message;
    assert!(message.contains("payload"), "{message}");
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_payload_that_is_not_there_as_a_whole_fails_its_job_alone() {
    let bed = Bed::new("").await;
    let damaged = bed.submit_one(echo(&bed, CHUNK_SIZE + 1)).await;
    let damage = "DELETE FROM chunks WHERE sequence = 1";
    bed.connect().await.execute(damage).await.unwrap();
    let whole = bed.submit_one(echo(&bed, CHUNK_SIZE + 1)).await;

    let worker = bed.start(echoes());
    let job = bed.finished(whole).await;
    assert_eq!(job.lifecycle.state, State::Succeeded);
    let failed = bed.finished(damaged).await;
    assert_eq!(failed.lifecycle.state, State::Failed);
    assert_eq!(failed.lifecycle.attempt, 1, "it is not tried again");
    let message = failed.failure.unwrap().message;
    assert!(message.contains("payload"), "{message}");
    worker.end().await.unwrap();
}
