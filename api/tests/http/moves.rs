//! The rows about retrying and deleting a job.

use std::time::Duration;

use coatcheck_shared::{
    job::{JobId, JobResult, Priority},
    queue::Lane,
};

use crate::service::Service;

async fn retry(service: &Service, id: JobId) -> crate::client::Answer {
    let path = format!("/v1/jobs/{id}/retry");
    service.send("POST", &path, "", "").await
}

async fn delete(service: &Service, id: JobId, head: &str) -> crate::client::Answer {
    let path = format!("/v1/jobs/{id}");
    service.send("DELETE", &path, head, "").await
}

#[tokio::test]
async fn what_has_failed_or_was_cancelled_can_be_retried() {
    let service = Service::start().await;
    let failed = service.submit(",\"priority\":\"low\"").await;
    service.fail(failed).await;
    let cancelled = service.submit(",\"delay_s\":60,\"priority\":\"low\"").await;
    let path = format!("/v1/jobs/{cancelled}/cancel");
    assert_eq!(service.send("POST", &path, "", "").await.status, 200);
    let lane = Lane {
        queue: "default".parse().unwrap(),
        priority: Priority::Low,
    };
    let queue = &service.backend.queue;
    // The hint of its first life.
    let wait = Duration::from_secs(10);
    assert_eq!(
        queue
            .pop(std::slice::from_ref(&lane), 10, wait)
            .await
            .unwrap(),
        [failed]
    );
    for id in [failed, cancelled] {
        let answer = retry(&service, id).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let path = format!("/v1/jobs/{id}");
        assert_eq!(answer.header("location"), Some(&*path));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let job = answer.json();
        assert_eq!(
            (&job["state"], &job["id"]),
            (&"queued".into(), &id.to_string().into())
        );
        assert!(job["finished_at"].is_null() && job["expires_at"].is_null());
        let popped = queue
            .pop(std::slice::from_ref(&lane), 10, wait)
            .await
            .unwrap();
        assert_eq!(popped, [id], "the workers are told");
    }
}

#[tokio::test]
async fn what_is_not_over_or_went_well_cannot_be_retried() {
    let service = Service::start().await;
    let scheduled = service.submit(",\"delay_s\":60").await;
    let queued = service.submit("").await;
    let running = service.submit("").await;
    service.claim(running).await;
    let succeeded = service.submit("").await;
    service
        .succeed(succeeded, JobResult::new("text/plain", "x"))
        .await;
    for (id, state) in [
        (scheduled, "scheduled"),
        (queued, "queued"),
        (running, "running"),
        (succeeded, "succeeded"),
    ] {
        let answer = retry(&service, id).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (409, "job-not-retryable")
        );
        assert_eq!(answer.json()["state"], state);
    }
}

#[tokio::test]
async fn a_finished_job_can_be_deleted_once() {
    let service = Service::start().await;
    let failed = service.submit("").await;
    service.fail(failed).await;
    let succeeded = service.submit("").await;
    service
        .succeed(succeeded, JobResult::new("text/plain", "x"))
        .await;
    for id in [failed, succeeded] {
        let answer = delete(&service, id, "").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let again = delete(&service, id, "").await;
        assert_eq!((again.status, &*again.problem()), (404, "job-not-found"));
        for part in ["", "/result", "/attempts", "/logs"] {
            let gone = service.get(&format!("/v1/jobs/{id}{part}")).await;
            assert_eq!(gone.status, 404, "{part}");
        }
        assert_eq!(retry(&service, id).await.status, 404);
    }
}

#[tokio::test]
async fn an_active_job_is_not_deleted() {
    let service = Service::start().await;
    let scheduled = service.submit(",\"delay_s\":60").await;
    let queued = service.submit("").await;
    let running = service.submit("").await;
    service.claim(running).await;
    for (id, state) in [
        (scheduled, "scheduled"),
        (queued, "queued"),
        (running, "running"),
    ] {
        let answer = delete(&service, id, "").await;
        assert_eq!((answer.status, &*answer.problem()), (409, "job-active"));
        assert_eq!(answer.json()["state"], state);
        let job = service.get(&format!("/v1/jobs/{id}")).await.json();
        assert_eq!(job["state"], state);
    }
}

#[tokio::test]
async fn a_job_is_deleted_only_as_if_match_says() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let path = format!("/v1/jobs/{id}");
    let before = service.get(&path).await;
    let stale = before.header("etag").unwrap();
    let matching = delete(&service, id, &format!("if-match: {stale}\r\n")).await;
    assert_eq!(
        (matching.status, &*matching.problem()),
        (409, "job-active"),
        "the precondition holds, the state does not"
    );
    service.fail(id).await;
    let current = service.get(&path).await.header("etag").unwrap().to_owned();
    for tags in [stale, "\"x\"", "", "x", &format!("W/{current}")] {
        let answer = delete(&service, id, &format!("if-match: {tags}\r\n")).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (412, "precondition-failed"),
            "{tags}"
        );
    }
    assert_eq!(service.get(&path).await.status, 200, "nothing was deleted");
    let answer = delete(&service, id, &format!("if-match: \"x\", {current}\r\n")).await;
    assert_eq!(answer.status, 204);
    for tags in ["*", &current] {
        let answer = delete(&service, id, &format!("if-match: {tags}\r\n")).await;
        assert_eq!(
            answer.status, 404,
            "existence comes before the precondition"
        );
    }
    let other = service.submit("").await;
    service.fail(other).await;
    assert_eq!(delete(&service, other, "if-match: *\r\n").await.status, 204);
}
