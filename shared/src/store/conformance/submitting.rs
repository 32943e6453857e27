//! From a submission to its row, and on to its claim.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Fixture,
    fixture::{new_job, tenant},
};
use crate::{
    job::{Inserted, NewJob, Priority, State, filter::PageRequest},
    store::{CHUNK_SIZE, INLINE_LIMIT},
};

pub(super) async fn a_job_reads_back_as_it_was_submitted(fixture: &Fixture) {
    let plain = new_job();
    let full = NewJob {
        queue: "mail".parse().unwrap(),
        priority: Priority::Low,
        run_at: plain.created_at.after(Duration::from_secs(60)),
        max_attempts: 7,
        timeout: Some(Duration::from_secs(5)),
        start_by: Some(plain.created_at.after(Duration::from_secs(70))),
        deadline_at: Some(plain.created_at.after(Duration::from_secs(80))),
        metadata: [("customer".to_owned(), "42 “ä”".to_owned())].into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..new_job()
    };
    for job in [plain, full] {
        let id = fixture.insert(job.clone()).await;
        assert_eq!(fixture.get(id).await, job.into_job());
    }
}

pub(super) async fn a_group_is_stored_as_a_whole(fixture: &Fixture) {
    let jobs: Vec<NewJob> = (0..50).map(|_| new_job()).collect();
    fixture.store.insert(jobs.clone()).await.unwrap();
    for job in &jobs {
        assert_eq!(fixture.state(job.id).await, State::Queued);
    }

    let mut refused: Vec<NewJob> = (0..50).map(|_| new_job()).collect();
    // No API lets this through; the schema refuses it, and with it the whole group.
    refused[25].max_attempts = 0;
    let first = refused[0].id;
    fixture.store.insert(refused).await.unwrap_err();
    assert_eq!(fixture.store.get(&tenant(), first).await.unwrap(), None);
}

pub(super) async fn an_insert_asked_twice_stores_once(fixture: &Fixture) {
    let job = NewJob {
        payload: Bytes::from(vec![7; CHUNK_SIZE * 2]),
        ..new_job()
    };
    let id = fixture.insert(job.clone()).await;
    let lease = fixture.lease().await;
    let claimed = fixture.claim(lease, &[id]).await;
    fixture.insert(job).await;
    assert_eq!(
        fixture.state(id).await,
        State::Running,
        "the second asking changed nothing"
    );
    assert_eq!(claimed[0].payload.size(), CHUNK_SIZE as u64 * 2);
    let page = PageRequest {
        after: None,
        before: None,
        limit: 10,
    };
    let list = fixture
        .store
        .list(&tenant(), &Default::default(), page)
        .await
        .unwrap();
    assert_eq!(list.len(), 1);
}

pub(super) async fn a_group_of_which_one_is_there_adds_the_others(fixture: &Fixture) {
    let (there, added) = (new_job(), new_job());
    let ids = [there.id, added.id];
    let lease = fixture.lease().await;
    fixture.running_as(lease, there.clone()).await;
    let inserted = fixture.store.insert(vec![there, added]).await.unwrap();
    assert!(inserted.iter().all(Inserted::is_stored));
    assert_eq!(
        [fixture.state(ids[0]).await, fixture.state(ids[1]).await],
        [State::Running, State::Queued]
    );
}

pub(super) async fn a_large_payload_reaches_the_claim_byte_for_byte(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for size in [
        0,
        1,
        INLINE_LIMIT,
        INLINE_LIMIT + 1,
        CHUNK_SIZE,
        CHUNK_SIZE + 1,
        5 * CHUNK_SIZE + 77,
    ] {
        let payload: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let job = NewJob {
            payload: payload.clone().into(),
            ..new_job()
        };
        let claimed = fixture.running_as(lease, job).await;
        let is_in_the_row = claimed.payload.inline().is_some();
        assert_eq!(is_in_the_row, size <= INLINE_LIMIT, "{size} bytes");
        let read = fixture.payload_of(&claimed).await;
        assert!(read == payload, "{size} bytes");
        assert_eq!(claimed.payload_type, "application/json");
    }
}
