//! The rows about submissions and retries for which there is no room.

use std::time::{Duration, Instant};

use coatcheck_shared::job::JobId;

use crate::{
    batch::{SLEEP, atomic, batch, post},
    client::Answer,
    service::{Service, id_of},
};

const OTHER: &str = r#"{"kind":"sleep","payload":{"ms":2}}"#;
const KEY: &str = "idempotency-key: first\r\n";
const JSON: &str = "content-type: application/json\r\n";

fn replayed(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("idempotent-replayed"))
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

/// What came before under its key is answered as it was, whatever there is no room for.
async fn replays_are_answered(service: &Service, first: &Answer, target: &str, bodies: [&str; 2]) {
    let [same, other] = bodies;
    let head = format!("{JSON}{KEY}");
    let again = service.send("POST", target, &head, same).await;
    assert_eq!(replayed(&again), (202, Some("true")), "{again:?}");
    assert_eq!(again.json(), first.json());
    let reused = service.send("POST", target, &head, other).await;
    assert_eq!(refused(&reused), (422, "idempotency-key-reused".to_owned()));
}

#[tokio::test]
async fn a_replay_needs_no_room_under_the_quota() {
    for (target, same, other) in [
        ("/v1/jobs", SLEEP, OTHER),
        ("/v1/jobs?kind=sleep", r#"{"ms":1}"#, r#"{"ms":2}"#),
    ] {
        let service = Service::start_with("limits.unfinished_jobs = 1").await;
        let head = format!("{JSON}{KEY}");
        let first = service.send("POST", target, &head, same).await;
        assert_eq!(replayed(&first), (202, None), "{first:?}");
        replays_are_answered(&service, &first, target, [same, other]).await;
        for key in ["", "idempotency-key: second\r\n"] {
            let new = format!("{JSON}{key}");
            let new = service.send("POST", target, &new, same).await;
            assert_eq!(refused(&new), (429, "quota-exceeded".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_replay_of_a_batch_needs_no_room_under_the_quota() {
    let service = Service::start_with("limits.unfinished_jobs = 2").await;
    let bodies = [&*atomic(&[SLEEP, SLEEP]), &atomic(&[SLEEP, OTHER])];
    let target = "/v1/jobs/batch";
    let head = format!("{JSON}{KEY}");
    let first = service.send("POST", target, &head, bodies[0]).await;
    assert_eq!(replayed(&first), (202, None), "{first:?}");
    replays_are_answered(&service, &first, target, bodies).await;
    let new = post(&service, bodies[0]).await;
    assert_eq!(refused(&new), (429, "quota-exceeded".to_owned()));
}

#[tokio::test]
async fn a_replay_needs_no_room_in_the_queue() {
    let service = Service::start_with("limits.queue_depth = 2").await;
    let first = service.post_with(KEY, SLEEP).await;
    assert_eq!(replayed(&first), (202, None));
    let full = loop {
        let answer = service.post(SLEEP).await;
        if answer.status != 202 {
            break answer;
        }
    };
    assert_eq!(refused(&full), (503, "queue-full".to_owned()));
    replays_are_answered(&service, &first, "/v1/jobs", [SLEEP, OTHER]).await;
}

#[tokio::test]
async fn what_is_refused_makes_no_queue() {
    let service = Service::start_with("limits.unfinished_jobs = 1").await;
    service.submit("").await;
    let elsewhere = r#"{"kind":"sleep","payload":{"ms":1},"queue":"elsewhere"}"#;
    for body in [batch(&[elsewhere]), atomic(&[elsewhere])] {
        let answer = post(&service, &body).await;
        assert_eq!(refused(&answer), (429, "quota-exceeded".to_owned()));
    }
    let queues = service.backend.store.queues().await.unwrap();
    assert_eq!(queues, ["default".parse().unwrap()]);
}

/// A job, as soon as there is room for it.
async fn submit_when_there_is_room(service: &Service) -> JobId {
    let began = Instant::now();
    loop {
        let answer = service.post(SLEEP).await;
        if answer.status == 202 {
            return id_of(&answer.json());
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_retried_is_told_so_before_there_is_no_room() {
    let service = Service::start_with("limits.unfinished_jobs = 1").await;
    let failed = service.submit("").await;
    service.fail(failed).await;
    let queued = submit_when_there_is_room(&service).await;
    let retry = async |id: JobId| {
        let target = format!("/v1/jobs/{id}/retry");
        refused(&service.send("POST", &target, "", "").await)
    };
    let unknown = service.job_of_another().await;
    assert_eq!(retry(unknown).await, (404, "job-not-found".to_owned()));
    assert_eq!(retry(queued).await, (409, "job-not-retryable".to_owned()));
    assert_eq!(retry(failed).await, (429, "quota-exceeded".to_owned()));
}

#[tokio::test]
async fn a_retry_of_many_keeps_to_the_quota() {
    let service = Service::start_with("limits.unfinished_jobs = 2").await;
    for _ in 0..3 {
        let id = submit_when_there_is_room(&service).await;
        service.fail(id).await;
    }
    let retry = async || {
        let target = "/v1/jobs/retry?state=failed";
        service.send("POST", target, "", "").await
    };
    // The quota may know only in part that there is room.
    let (mut retried, began) = (0, Instant::now());
    while retried < 2 {
        let answer = retry().await;
        if answer.status == 200 {
            assert_eq!(answer.json()["more"], true, "{answer:?}");
            retried += answer.json()["count"].as_u64().unwrap();
        } else {
            assert_eq!(refused(&answer), (429, "quota-exceeded".to_owned()));
        }
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(retried, 2);
    let full = retry().await;
    assert_eq!(refused(&full), (429, "quota-exceeded".to_owned()));
    let queued = service.get("/v1/jobs?state=queued").await.json();
    assert_eq!(queued["items"].as_array().unwrap().len(), 2);
}
