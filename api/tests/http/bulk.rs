//! The rows about moving many jobs at once.

use std::time::Duration;

use coatcheck_shared::{
    job::{JobResult, Priority},
    queue::Lane,
    signal::Signal,
};
use serde_json::json;
use sqlx::ConnectOptions;

use crate::{client::Answer, service::Service};

async fn bulk(service: &Service, operation: &str, query: &str) -> Answer {
    let (method, path) = operation.split_once(' ').unwrap();
    service
        .send(method, &format!("{path}?{query}"), "", "")
        .await
}

async fn state(service: &Service, id: impl std::fmt::Display) -> String {
    let job = service.get(&format!("/v1/jobs/{id}")).await.json();
    job["state"].as_str().unwrap_or("gone").to_owned()
}

const CANCEL: &str = "POST /v1/jobs/cancel";
const RETRY: &str = "POST /v1/jobs/retry";
const DELETE: &str = "DELETE /v1/jobs";

#[tokio::test]
async fn nothing_is_done_without_a_filter_or_with_a_wrong_one() {
    let service = Service::start().await;
    let id = service.submit("").await;
    for operation in [CANCEL, RETRY, DELETE] {
        for (query, pointer) in [
            ("", ""),
            ("dry_run=true", ""),
            ("state=done", "/state"),
            ("kind=sleep&dry_run=yes", "/dry_run"),
            ("kind=sleep&limit=1", "/limit"),
            ("kind=sleep&colour=red", "/colour"),
        ] {
            let answer = bulk(&service, operation, query).await;
            assert_eq!(
                (answer.status, &*answer.problem()),
                (400, "invalid-parameter"),
                "{operation} {query}"
            );
            assert_eq!(answer.pointers(), [pointer], "{operation} {query}");
        }
    }
    assert_eq!(state(&service, id).await, "queued");
}

#[tokio::test]
async fn those_that_match_are_cancelled_and_everyone_is_told() {
    let service = Service::start().await;
    let another = service.job_of_another().await;
    let queued = service.submit(",\"metadata\":{\"customer\":\"42\"}").await;
    let scheduled = service
        .submit(",\"delay_s\":60,\"metadata\":{\"customer\":\"42\"}")
        .await;
    let running = service.submit(",\"metadata\":{\"customer\":\"42\"}").await;
    service.claim(running).await;
    let failed = service.submit(",\"metadata\":{\"customer\":\"42\"}").await;
    service.fail(failed).await;
    let other = service.submit("").await;
    let dry = bulk(&service, CANCEL, "metadata.customer=42&dry_run=true").await;
    assert_eq!((dry.status, dry.json()), (200, json!({"count": 3})));
    assert_eq!(dry.header("cache-control"), Some("no-store"));
    assert_eq!(
        state(&service, queued).await,
        "queued",
        "it was only counted"
    );

    let mut signals = service.backend.signals.subscribe();
    let done = bulk(&service, CANCEL, "metadata.customer=42&dry_run=false").await;
    assert_eq!((done.status, done.json()), (200, json!({"count": 3})));
    for (id, expected) in [
        (queued, "cancelled"),
        (scheduled, "cancelled"),
        (running, "running"),
        (failed, "failed"),
        (other, "queued"),
    ] {
        assert_eq!(state(&service, id).await, expected);
    }
    let mut finished = Vec::new();
    let mut requested = Vec::new();
    while finished.is_empty() || requested.is_empty() {
        let signal = tokio::time::timeout(Duration::from_secs(10), signals.recv());
        match signal.await.unwrap().unwrap() {
            Signal::Finished(ids) => finished.extend(ids),
            Signal::CancelRequested(ids) => requested.extend(ids),
            Signal::QueueCreated(_) => {}
        }
    }
    finished.sort();
    assert_eq!(
        (finished, requested),
        (vec![queued, scheduled], vec![running])
    );

    let everything = bulk(&service, CANCEL, "created_before=2999-01-01T00:00:00Z").await;
    assert_eq!(
        everything.json(),
        json!({"count": 2}),
        "the other and the running one"
    );
    let theirs = service
        .backend
        .store
        .get(&"another".parse().unwrap(), another)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(theirs.lifecycle.state.as_str(), "queued");
}

#[tokio::test]
async fn a_move_leaves_out_the_states_that_it_does_not_begin_in() {
    let service = Service::start().await;
    let failed = service.submit("").await;
    service.fail(failed).await;
    let succeeded = service.submit("").await;
    service
        .succeed(succeeded, JobResult::new("text/plain", "x"))
        .await;
    let queued = service.submit("").await;
    for (operation, query) in [
        (CANCEL, "state=failed,succeeded"),
        (RETRY, "state=succeeded,queued,running"),
        (DELETE, "state=queued,running,scheduled"),
    ] {
        for dry_run in ["true", "false"] {
            let query = format!("{query}&dry_run={dry_run}");
            let answer = bulk(&service, operation, &query).await;
            assert_eq!(
                (answer.status, answer.json()),
                (200, json!({"count": 0})),
                "{query}"
            );
        }
    }
    for (id, expected) in [
        (failed, "failed"),
        (succeeded, "succeeded"),
        (queued, "queued"),
    ] {
        assert_eq!(state(&service, id).await, expected);
    }
}

#[tokio::test]
async fn those_that_match_are_retried_and_the_workers_are_told() {
    let service = Service::start().await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        let id = service.submit(",\"queue\":\"mail\"").await;
        service.fail(id).await;
        failed.push(id);
    }
    let lane = Lane {
        queue: "mail".parse().unwrap(),
        priority: Priority::Normal,
    };
    let queue = &service.backend.queue;
    let wait = Duration::from_secs(10);
    let mut first_lives = 0;
    while first_lives < 3 {
        first_lives += queue
            .pop(std::slice::from_ref(&lane), 10, wait)
            .await
            .unwrap()
            .len();
    }
    let dry = bulk(&service, RETRY, "queue=mail&dry_run=true").await;
    assert_eq!(dry.json(), json!({"count": 3}));
    let done = bulk(&service, RETRY, "queue=mail").await;
    assert_eq!((done.status, done.json()), (200, json!({"count": 3})));
    let mut popped = Vec::new();
    while popped.len() < 3 {
        popped.extend(
            queue
                .pop(std::slice::from_ref(&lane), 10, wait)
                .await
                .unwrap(),
        );
    }
    popped.sort();
    assert_eq!(popped, failed);
    assert_eq!(
        bulk(&service, RETRY, "queue=mail").await.json(),
        json!({"count": 0})
    );
}

#[tokio::test]
async fn those_that_match_are_deleted() {
    let service = Service::start().await;
    let failed = service.submit("").await;
    service.fail(failed).await;
    let cancelled = service.submit(",\"delay_s\":60").await;
    bulk(&service, CANCEL, "state=scheduled").await;
    let queued = service.submit("").await;
    let only_failed = bulk(&service, DELETE, "state=failed&kind=sleep").await;
    assert_eq!(
        (only_failed.status, only_failed.json()),
        (200, json!({"count": 1}))
    );
    assert_eq!(state(&service, failed).await, "gone");
    assert_eq!(state(&service, cancelled).await, "cancelled");
    assert_eq!(
        bulk(&service, DELETE, "kind=sleep&dry_run=true")
            .await
            .json(),
        json!({"count": 1})
    );
    assert_eq!(
        bulk(&service, DELETE, "kind=sleep").await.json(),
        json!({"count": 1})
    );
    assert_eq!(state(&service, cancelled).await, "gone");
    assert_eq!(state(&service, queued).await, "queued");
}

async fn submit_batches(service: &Service, batches: usize) {
    let line = "{\"kind\":\"sleep\",\"payload\":{\"ms\":1}}\n";
    for _ in 0..batches {
        let head = "content-type: application/x-ndjson\r\n";
        let answer = service
            .send("POST", "/v1/jobs/batch", head, &line.repeat(600))
            .await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

#[tokio::test]
async fn more_than_a_page_is_done_with_one_request() {
    let service = Service::start().await;
    submit_batches(&service, 2).await;
    for (operation, query) in [
        (CANCEL, "kind=sleep&dry_run=true"),
        (CANCEL, "kind=sleep"),
        (RETRY, "kind=sleep"),
        (CANCEL, "state=queued"),
        (DELETE, "kind=sleep&dry_run=true"),
        (DELETE, "kind=sleep"),
    ] {
        let answer = bulk(&service, operation, query).await;
        assert_eq!(
            answer.json(),
            json!({"count": 1_200}),
            "{operation} {query}"
        );
    }
    assert!(
        service.get("/v1/jobs").await.json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_there_is_no_time_for_is_left_for_another_request() {
    let service = Service::start_with("limits.request_s = 1").await;
    submit_batches(&service, 2).await;
    // The first page has to wait until the time is over.
    let file = service.database_file();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut holder = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut holder)
        .await
        .unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    };
    let (answer, ()) = tokio::join!(bulk(&service, CANCEL, "state=queued"), release);
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"count": 500, "more": true}))
    );
    let rest = bulk(&service, CANCEL, "state=queued").await;
    assert_eq!(rest.json(), json!({"count": 700}));
}
