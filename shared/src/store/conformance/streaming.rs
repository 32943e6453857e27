//! Results that are never held as a whole.

use bytes::Bytes;

use super::fixture::{Fixture, noise, now, retry_in, tenant};
use crate::{
    clock::SystemClock,
    job::{Body, ClaimedJob, JobId, JobResult, LeaseId, Outcome},
    store::{CHUNK_SIZE, DeleteOutcome, FinishOutcome, INLINE_LIMIT, ResultChunk, ResultLookup},
};

fn chunk(job: &ClaimedJob, sequence: u32, bytes: Bytes) -> ResultChunk {
    ResultChunk {
        id: job.id,
        attempt: job.attempt,
        lease: job.lease,
        sequence,
        bytes,
    }
}

fn stored(size: usize) -> Outcome {
    Outcome::Succeeded(JobResult {
        body: Body::Stored { size: size as u64 },
        ..JobResult::new("image/x-noise", "")
    })
}

impl Fixture {
    async fn write(&self, job: &ClaimedJob, sequence: u32, bytes: Bytes) -> bool {
        let chunk = chunk(job, sequence, bytes);
        self.store.write_result_chunk(&chunk).await.unwrap()
    }

    /// The body of a result, however it is kept.
    async fn body(&self, id: JobId) -> Vec<u8> {
        let lookup = self.store.result(&tenant(), id).await.unwrap();
        let ResultLookup::Found { job, result } = lookup else {
            panic!("{lookup:?}")
        };
        self.read(&result.body, id, job.lifecycle.attempt).await
    }
}

pub(super) async fn a_large_result_is_read_piece_by_piece(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for size in [INLINE_LIMIT + 1, CHUNK_SIZE, CHUNK_SIZE * 3 + 5] {
        let job = fixture.running(lease).await;
        let result = JobResult::new("image/x-noise", noise(size));
        fixture.finish(&job, Outcome::Succeeded(result)).await;
        let lookup = fixture.store.result(&tenant(), job.id).await.unwrap();
        let ResultLookup::Found { result, .. } = lookup else {
            panic!("{lookup:?}")
        };
        assert_eq!(result.body, Body::Stored { size: size as u64 });
        assert!(fixture.body(job.id).await == noise(size), "{size} bytes");
        let part = fixture.store.body_chunk(job.id, 1, 0, 100..300).await;
        assert_eq!(part.unwrap().unwrap(), noise(size).slice(100..300));
        let past_the_end = size.div_ceil(CHUNK_SIZE) as u32;
        assert_eq!(fixture.chunk_of(job.id, 1, past_the_end).await, None);
    }
}

pub(super) async fn a_result_is_written_piece_by_piece(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let job = fixture.running(lease).await;
    let body = noise(CHUNK_SIZE * 2 + 7);
    for sequence in [0, 1, 1, 2] {
        let start = sequence * CHUNK_SIZE;
        let piece = body.slice(start..body.len().min(start + CHUNK_SIZE));
        assert!(fixture.write(&job, sequence as u32, piece).await);
        let lookup = fixture.store.result(&tenant(), job.id).await.unwrap();
        assert!(matches!(lookup, ResultLookup::NoResult(_)), "not yet");
    }
    fixture.finish(&job, stored(body.len())).await;
    assert!(fixture.body(job.id).await == body);

    let deleted = fixture.store.delete(&tenant(), job.id).await.unwrap();
    assert_eq!(deleted, Some(DeleteOutcome::Deleted));
    assert_eq!(fixture.chunk_of(job.id, 1, 0).await, None);
}

pub(super) async fn a_stale_attempt_writes_nothing(fixture: &Fixture) {
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
    let other_job = ClaimedJob {
        id: JobId::generate(&SystemClock),
        ..job.clone()
    };
    for stale in [&other_lease, &other_attempt, &other_job] {
        assert!(!fixture.write(stale, 0, noise(5)).await);
        let found = fixture.chunk_of(stale.id, stale.attempt, 0).await;
        assert_eq!(found, None);
    }
    assert!(fixture.write(&job, 0, noise(5)).await);
    fixture.finish(&job, stored(5)).await;
    assert!(!fixture.write(&job, 0, noise(7)).await, "it has finished");
    assert!(fixture.body(job.id).await == noise(5));
}

pub(super) async fn what_earlier_attempts_left_is_not_seen(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let first = fixture.running(lease).await;
    for sequence in 0..3 {
        assert!(fixture.write(&first, sequence, noise(CHUNK_SIZE)).await);
    }
    // Handed back, its number is used again.
    fixture.finish(&first, Outcome::Released).await;
    let again = fixture.claim(lease, &[first.id]).await.pop().unwrap();
    assert_eq!(again.attempt, first.attempt);
    assert!(fixture.write(&again, 0, noise(9)).await);
    let outcome = fixture.finish(&again, retry_in(0)).await;
    assert!(matches!(outcome, FinishOutcome::Recorded(_)));
    fixture.store.enqueue_due(now(), 10).await.unwrap();

    let second = fixture.claim(lease, &[first.id]).await.pop().unwrap();
    assert_eq!(second.attempt, 2);
    assert!(fixture.write(&second, 0, noise(11)).await);
    for sequence in 0..3 {
        let found = fixture.chunk_of(first.id, first.attempt, sequence).await;
        assert_eq!(found, None, "it is cleared away");
    }
    // A result that goes in with the finish takes the place of what was written before it.
    fixture.finish(&second, Outcome::Released).await;
    let last = fixture.claim(lease, &[first.id]).await.pop().unwrap();
    let large = JobResult::new("image/x-noise", noise(INLINE_LIMIT + 1));
    fixture.finish(&last, Outcome::Succeeded(large)).await;
    assert!(fixture.body(first.id).await == noise(INLINE_LIMIT + 1));
}
