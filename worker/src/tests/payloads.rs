//! Payloads that lie beside their jobs' rows.

use coatcheck_shared::{
    job::{NewJob, State},
    store::{CHUNK_SIZE, INLINE_LIMIT},
};
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

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
async fn a_payload_that_is_not_there_as_a_whole_fails_its_job_alone() {
    let bed = Bed::new("").await;
    let jobs = (0..3).map(|_| echo(&bed, CHUNK_SIZE + 1)).collect();
    let ids = bed.submit(jobs).await;
    let file = bed.settings.data_dir.join("coatcheck.sqlite3");
    let file = SqliteConnectOptions::new().filename(file);
    let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
    let damage = sqlx::query("DELETE FROM chunks WHERE job_id = $1 AND sequence = 1");
    let damage = damage.bind(ids[1].as_uuid());
    connection.execute(damage).await.unwrap();

    let worker = bed.start(echoes());
    for (id, state) in [
        (ids[0], State::Succeeded),
        (ids[1], State::Failed),
        (ids[2], State::Succeeded),
    ] {
        assert_eq!(bed.finished(id).await.lifecycle.state, state);
    }
    let failed = bed.get(ids[1]).await;
    assert_eq!(failed.lifecycle.attempt, 1, "it is not tried again");
    let message = failed.failure.unwrap().message;
    assert!(message.contains("payload"), "{message}");
    worker.end().await.unwrap();
}
