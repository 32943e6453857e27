//! The rows about batches whose submissions meet what is there already.

use crate::{
    batch::{SLEEP, atomic, batch, count, outcomes, post, statuses},
    client::Answer,
    service::{Service, id_of},
};

const UNIQUE: &str = r#"{"kind":"sleep","payload":{"ms":1},"unique":{"key":"once"}}"#;

#[tokio::test]
async fn a_unique_key_that_is_held_keeps_its_item_or_an_atomic_batch_out() {
    let service = Service::start().await;
    let twice = post(&service, &atomic(&[UNIQUE, SLEEP, UNIQUE])).await;
    assert_eq!(twice.status, 409);
    assert_eq!(twice.pointers(), ["/jobs/2"]);
    assert!(
        twice.json().get("existing_job").is_none(),
        "it was not stored"
    );
    assert_eq!(count(&service).await, 0);

    let answer = post(&service, &batch(&[UNIQUE, SLEEP, UNIQUE])).await;
    let mut found = statuses(&answer);
    assert_eq!((answer.status, found[1]), (200, 202));
    found.sort_unstable();
    assert_eq!(found, [202, 202, 409]);
    let outcomes = outcomes(&answer);
    let stored = outcomes
        .iter()
        .find(|it| it["status"] == 202 && it["job"] != outcomes[1]["job"]);
    let refused = outcomes.iter().find(|it| it["status"] == 409).unwrap();
    let path = &stored.unwrap()["job"]["links"]["self"];
    assert_eq!(&refused["error"]["existing_job"], path);

    let held = post(&service, &atomic(&[SLEEP, UNIQUE])).await;
    assert_eq!(
        (held.status, held.pointers()),
        (409, vec!["/jobs/1".to_owned()])
    );
    assert_eq!(&held.json()["existing_job"], path);
    assert_eq!(count(&service).await, 2);
}

async fn post_with_key(service: &Service, key: &str, body: &str) -> Answer {
    let head = format!("content-type: application/json\r\nidempotency-key: {key}\r\n");
    service.send("POST", "/v1/jobs/batch", &head, body).await
}

#[tokio::test]
async fn an_atomic_batch_under_a_key_is_stored_once() {
    let service = Service::start().await;
    let body = atomic(&[SLEEP, SLEEP]);
    let first = post_with_key(&service, "a", &body).await;
    assert_eq!(
        (first.status, first.header("idempotent-replayed")),
        (202, None)
    );
    let again = post_with_key(&service, "a", &body).await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (202, Some("true"))
    );
    assert_eq!(again.json(), first.json());
    for other in [atomic(&[SLEEP]), atomic(&[SLEEP, SLEEP, SLEEP])] {
        let answer = post_with_key(&service, "a", &other).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (422, "idempotency-key-reused")
        );
    }
    assert_eq!(count(&service).await, 2);
    let each = post_with_key(&service, "b", &batch(&[SLEEP])).await;
    assert_eq!(
        (each.status, &*each.problem()),
        (400, "invalid-idempotency-key")
    );
    assert_eq!(count(&service).await, 2);

    let gone = id_of(&outcomes(&first)[0]["job"]);
    service.fail(gone).await;
    let path = format!("/v1/jobs/{gone}");
    assert_eq!(service.send("DELETE", &path, "", "").await.status, 204);
    let answer = post_with_key(&service, "a", &body).await;
    assert_eq!((answer.status, statuses(&answer)), (200, vec![404, 202]));
    assert_eq!(outcomes(&answer)[0]["error"]["type"], "/problems/job-gone");
}

#[tokio::test]
async fn a_batch_for_which_a_queue_has_no_room_is_503() {
    let service = Service::start_with("limits.queue_depth = 3").await;
    for body in [
        atomic(&[SLEEP; 4]),
        batch(&[SLEEP; 3]),
        batch(&[SLEEP]),
        atomic(&[SLEEP]),
    ] {
        let has_room = count(&service).await == 0 && !body.contains("\"atomic\"");
        let answer = post(&service, &body).await;
        if has_room {
            assert_eq!(answer.status, 202);
        } else {
            assert_eq!((answer.status, &*answer.problem()), (503, "queue-full"));
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(count(&service).await, 3);
}
