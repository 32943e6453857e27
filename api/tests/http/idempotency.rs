//! The rows about `Idempotency-Key`.

use std::{collections::HashSet, time::Duration};

use coatcheck_shared::job::JobResult;

use crate::{
    client::Answer,
    service::{Service, id_of},
};

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;
const KEY: &str = "idempotency-key: \"order-4711\"\r\n";

async fn number_of_jobs(service: &Service) -> usize {
    let list = service.get("/v1/jobs?limit=1000").await.json();
    list["items"].as_array().unwrap().len()
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn the_same_request_is_answered_the_same_about_one_job() {
    let service = Service::start().await;
    let first = service.post_with(KEY, SLEEP).await;
    assert_eq!((first.status, is_replay(&first)), (202, false), "{first:?}");
    let id = id_of(&first.json());
    // What the client would like, and how it writes the key, makes no other request of it.
    for head in [
        KEY,
        "idempotency-key: order-4711\r\nprefer: respond-async\r\n",
    ] {
        let again = service.post_with(head, SLEEP).await;
        assert_eq!((again.status, is_replay(&again)), (202, true), "{again:?}");
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("retry-after"), Some("1"));
    }
    service
        .succeed(id, JobResult::new("text/plain", "done"))
        .await;
    let late = service.post_with(KEY, SLEEP).await;
    assert_eq!((late.status, is_replay(&late)), (202, true));
    assert_eq!(late.json()["state"], "succeeded");
    assert_eq!(late.header("retry-after"), None);
    assert_eq!(number_of_jobs(&service).await, 1);
}

#[tokio::test]
async fn another_request_under_the_key_is_422() {
    let service = Service::start().await;
    assert_eq!(service.post_with(KEY, SLEEP).await.status, 202);
    let other = r#"{"kind":"sleep","payload":{"ms":2}}"#;
    let answer = service.post_with(KEY, other).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (422, "idempotency-key-reused")
    );
    assert_eq!(number_of_jobs(&service).await, 1);
    let another_key = "idempotency-key: \"order-4712\"\r\n";
    assert_eq!(service.post_with(another_key, other).await.status, 202);
}

#[tokio::test]
async fn a_hundred_at_once_become_one_job() {
    let service = Service::start().await;
    let posts = (0..100).map(|_| service.post_with(KEY, SLEEP));
    let answers = futures::future::join_all(posts).await;
    let ids: HashSet<String> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 202, "{answer:?}");
            id_of(&answer.json()).to_string()
        })
        .collect();
    assert_eq!(ids.len(), 1);
    let replays = answers.iter().filter(|answer| is_replay(answer)).count();
    assert_eq!(replays, 99);
    assert_eq!(number_of_jobs(&service).await, 1);
}

#[tokio::test]
async fn a_first_answer_of_200_is_repeated() {
    let service = Service::start().await;
    let head = format!("{KEY}prefer: wait=30\r\n");
    let worker = async {
        let id = service.newest_job().await;
        service
            .succeed(id, JobResult::new("text/plain", "done"))
            .await;
    };
    let (first, ()) = tokio::join!(service.post_with(&head, SLEEP), worker);
    assert_eq!((first.status, is_replay(&first)), (200, false));
    for head in [KEY, &*head] {
        let again = service.post_with(head, SLEEP).await;
        assert_eq!((again.status, is_replay(&again)), (200, true), "{again:?}");
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(
            again.header("content-location"),
            first.header("content-location")
        );
    }
}

#[tokio::test]
async fn a_replay_that_would_wait_is_answered_when_the_job_is_finished() {
    let service = Service::start().await;
    let first = service.post_with(KEY, SLEEP).await;
    let id = id_of(&first.json());
    let worker = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        service
            .succeed(id, JobResult::new("text/plain", "done"))
            .await;
    };
    let head = format!("{KEY}prefer: wait=30\r\n");
    let (again, ()) = tokio::join!(service.post_with(&head, SLEEP), worker);
    assert_eq!((again.status, is_replay(&again)), (202, true));
    assert_eq!(again.header("preference-applied"), Some("wait=30"));
    assert_eq!(again.json()["state"], "succeeded");
}

#[tokio::test]
async fn the_replay_of_a_job_that_is_gone_says_so_and_makes_no_second() {
    let service = Service::start().await;
    let id = id_of(&service.post_with(KEY, SLEEP).await.json());
    service.fail(id).await;
    let store = &service.backend.store;
    store.delete(&Default::default(), id).await.unwrap();
    let answer = service.post_with(KEY, SLEEP).await;
    assert_eq!((answer.status, &*answer.problem()), (404, "job-gone"));
    assert!(is_replay(&answer));
    assert_eq!(answer.json()["job"], format!("/v1/jobs/{id}"));
    assert_eq!(number_of_jobs(&service).await, 0);
}

#[tokio::test]
async fn a_key_is_forgotten_after_its_time() {
    let service = Service::start_with("jobs.idempotency_retain_s = 1").await;
    let first = service.post_with(KEY, SLEEP).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = service.post_with(KEY, SLEEP).await;
    assert_eq!((second.status, is_replay(&second)), (202, false));
    assert_ne!(id_of(&first.json()), id_of(&second.json()));
}

#[tokio::test]
async fn what_was_refused_leaves_its_key_free() {
    let service = Service::start().await;
    let wrong = r#"{"kind":"sleep","payload":{}}"#;
    assert_eq!(service.post_with(KEY, wrong).await.status, 400);
    assert_eq!(service.post_with(KEY, wrong).await.status, 400);
    let right = service.post_with(KEY, SLEEP).await;
    assert_eq!((right.status, is_replay(&right)), (202, false));
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_400() {
    let service = Service::start().await;
    for head in [
        "idempotency-key:\r\n".to_owned(),
        "idempotency-key: \"\"\r\n".to_owned(),
        "idempotency-key: \"open\r\n".to_owned(),
        "idempotency-key: a b\r\n".to_owned(),
        "idempotency-key: schön\r\n".to_owned(),
        format!("idempotency-key: {}\r\n", "k".repeat(256)),
        "idempotency-key: a\r\nidempotency-key: b\r\n".to_owned(),
    ] {
        let answer = service.post_with(&head, SLEEP).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-idempotency-key"),
            "{head}"
        );
    }
    assert_eq!(number_of_jobs(&service).await, 0);
    let longest = format!("idempotency-key: {}\r\n", "k".repeat(255));
    assert_eq!(service.post_with(&longest, SLEEP).await.status, 202);
}
