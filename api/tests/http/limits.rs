//! The rows about rates and depths.

use std::time::Duration;

use crate::{
    client::Answer,
    service::{Service, id_of},
};

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;

#[tokio::test]
async fn over_its_rate_a_caller_is_429_and_told_what_it_may() {
    let service = Service::start_with("limits.rate_per_s = 0.1\nlimits.rate_burst = 3").await;
    let policy = Some("\"default\";q=3;w=30");
    for (remaining, whole_again) in [(2, 10), (1, 20), (0, 30)] {
        let answer = service.get("/v1/jobs").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), policy);
        assert_eq!(
            answer.header("ratelimit"),
            Some(&*format!("\"default\";r={remaining};t={whole_again}"))
        );
    }
    let refused = service.post(SLEEP).await;
    assert_eq!((refused.status, &*refused.problem()), (429, "rate-limited"));
    let pause: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&pause), "{pause}");
    assert_eq!(refused.header("ratelimit-policy"), policy);
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=30"));
    for open in ["/livez", "/readyz", "/problems/rate-limited"] {
        let answer = service.get(open).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit"), None);
    }
}

#[tokio::test]
async fn a_tenant_over_its_quota_is_429_until_jobs_are_finished() {
    let service = Service::start_with("limits.unfinished_jobs = 3").await;
    let policy = Some("\"unfinished-jobs\";q=3;qu=\"jobs\"");
    let mut jobs = Vec::new();
    for left in [2, 1, 0] {
        let answer = service.post(SLEEP).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("ratelimit-policy"), policy);
        let state = format!("\"unfinished-jobs\";r={left};t=1");
        assert_eq!(answer.header("ratelimit"), Some(&*state));
        jobs.push(id_of(&answer.json()));
    }
    let batch = format!("{{\"jobs\":[{SLEEP}]}}");
    let json = "content-type: application/json\r\n";
    for refused in [
        service.post(SLEEP).await,
        service.send("POST", "/v1/jobs/batch", json, &batch).await,
    ] {
        let problem = (refused.status, &*refused.problem());
        assert_eq!(problem, (429, "quota-exceeded"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("ratelimit-policy"), policy);
        assert_eq!(
            refused.header("ratelimit"),
            Some("\"unfinished-jobs\";r=0;t=1")
        );
    }
    // Reading, and cancelling, which makes room, cost nothing.
    let cancelled = service
        .send("POST", &format!("/v1/jobs/{}/cancel", jobs[0]), "", "")
        .await;
    assert_eq!(cancelled.status, 200);
    let began = std::time::Instant::now();
    while service.post(SLEEP).await.status != 202 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(service.post(SLEEP).await.status, 429);
}

#[tokio::test]
async fn both_limits_are_told_of_in_one_field() {
    let settings = "limits.unfinished_jobs = 9\nlimits.rate_per_s = 1\nlimits.rate_burst = 5";
    let service = Service::start_with(settings).await;
    let answer = service.post(SLEEP).await;
    assert_eq!(
        answer.header("ratelimit"),
        Some("\"default\";r=4;t=1, \"unfinished-jobs\";r=8;t=1")
    );
}

#[tokio::test]
async fn a_batch_tells_of_its_quota_once() {
    let service = Service::start_with("limits.unfinished_jobs = 9").await;
    let batch = format!("{{\"jobs\":[{SLEEP},{SLEEP},{SLEEP}]}}");
    let json = "content-type: application/json\r\n";
    let answer = service.send("POST", "/v1/jobs/batch", json, &batch).await;
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"unfinished-jobs\";q=9;qu=\"jobs\"")
    );
    let state = answer.header("ratelimit").unwrap();
    assert_eq!(state.matches("unfinished-jobs").count(), 1, "{state}");
}

#[tokio::test]
async fn a_rate_comes_back_with_time() {
    let service = Service::start_with("limits.rate_per_s = 5\nlimits.rate_burst = 1").await;
    let mut refused = false;
    for _ in 0..100 {
        refused |= service.get("/v1/jobs").await.status == 429;
    }
    assert!(refused);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(service.post(SLEEP).await.status, 202);
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let service = Service::start().await;
    let answer = service.get("/v1/jobs").await;
    assert_eq!(answer.header("ratelimit"), None);
    assert_eq!(answer.header("ratelimit-policy"), None);
}

#[tokio::test]
async fn a_full_queue_is_503_until_there_is_room() {
    let service = Service::start_with("limits.queue_depth = 5").await;
    let mut accepted = 0;
    let refused = loop {
        let answer = service.post(SLEEP).await;
        if answer.status != 202 {
            break answer;
        }
        accepted += 1;
        // One whose hint was under way during a look is missing from what it found.
        assert!(accepted <= 7);
    };
    assert!(accepted >= 5, "{accepted}");
    assert_eq!((refused.status, &*refused.problem()), (503, "queue-full"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let elsewhere = r#"{"kind":"sleep","payload":{"ms":1},"queue":"other"}"#;
    assert_eq!(service.post(elsewhere).await.status, 202);
    let lane = coatcheck_shared::queue::Lane {
        queue: Default::default(),
        priority: Default::default(),
    };
    let wait = Duration::from_secs(10);
    let popped = service.backend.queue.pop(&[lane], 4, wait).await.unwrap();
    assert_eq!(popped.len(), 4);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(service.post(SLEEP).await.status, 202);
}

#[tokio::test]
async fn retry_after_follows_what_such_jobs_usually_take() {
    let service = Service::start().await;
    let first = service.submit("").await;
    let running = service.claim(first).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let result = coatcheck_shared::job::JobResult::new("text/plain", "");
    let outcome = coatcheck_shared::job::Outcome::Succeeded(result);
    service.finish(&running, outcome).await;
    assert_eq!(service.get(&format!("/v1/jobs/{first}")).await.status, 200);
    let next = service.post(SLEEP).await;
    assert!(seconds(&next) >= 2, "{next:?}");
    let id = id_of(&next.json());
    let answer = service.get(&format!("/v1/jobs/{id}")).await;
    assert!(seconds(&answer) >= 2, "{answer:?}");
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}
