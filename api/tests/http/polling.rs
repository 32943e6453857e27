//! The rows about asking for a job, calling it off, and its history.

use std::time::{Duration, Instant};

use coatcheck_shared::{
    clock::Clock,
    job::{JobResult, Outcome},
    store::LogLine,
};

use crate::service::Service;

#[tokio::test]
async fn a_job_has_a_validator_and_a_304_for_who_has_it() {
    let service = Service::start().await;
    let path = format!("/v1/jobs/{}", service.submit("").await);
    let answer = service.get(&path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    assert_eq!(answer.header("vary"), Some("Authorization, Prefer"));
    assert!(answer.header("retry-after").is_some());
    let tag = answer.header("etag").unwrap();
    assert!(tag.starts_with('"'), "a strong one: {tag}");
    for (asked, status) in [
        (tag.to_owned(), 304),
        (format!("\"x\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let head = format!("if-none-match: {asked}\r\n");
        let again = service.send("GET", &path, &head, "").await;
        assert_eq!(again.status, status, "{asked}");
        assert_eq!(again.header("etag"), Some(tag));
        assert_eq!(again.header("vary"), Some("Authorization, Prefer"));
        assert_eq!(again.header("cache-control"), Some("private, no-cache"));
    }
    let head = service.send("HEAD", &path, "", "").await;
    assert_eq!(head.header("etag"), Some(tag));
    let length = answer.body.len().to_string();
    assert_eq!(head.header("content-length"), Some(&*length));
}

#[tokio::test]
async fn a_finished_job_is_200_without_retry_after_however_it_ended() {
    let service = Service::start().await;
    let failed = service.submit("").await;
    service.fail(failed).await;
    let answer = service.get(&format!("/v1/jobs/{failed}")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (200, None));
    let job = answer.json();
    assert_eq!(job["state"], "failed");
    assert_eq!(job["error"]["type"], "error");
    assert_eq!(job["error"]["message"], "out of order");
    assert!(job["expires_at"].is_string() && job["finished_at"].is_string());
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_as_soon_as_the_job_is_finished() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let path = format!("/v1/jobs/{id}");
    let began = Instant::now();
    let later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        service.succeed(id, JobResult::new("text/plain", "x")).await;
        Instant::now()
    };
    let (answer, finished) = tokio::join!(
        async {
            let answer = service.send("GET", &path, "prefer: wait=30\r\n", "").await;
            (answer, Instant::now())
        },
        later
    );
    let (answer, answered) = answer;
    assert_eq!(answer.json()["state"], "succeeded");
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    assert!(
        answered - finished < Duration::from_millis(500),
        "woken, not re-read"
    );

    let other = format!("/v1/jobs/{}", service.submit("").await);
    let began_waiting = Instant::now();
    let answer = service.send("GET", &other, "prefer: wait=1\r\n", "").await;
    assert_eq!(answer.json()["state"], "queued");
    assert!(began_waiting.elapsed() >= Duration::from_secs(1));
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_finished_job_is_found_though_the_signal_is_lost() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let running = service.claim(id).await;
    let path = format!("/v1/jobs/{id}");
    let silently = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        service
            .backend
            .store
            .cancel(&Default::default(), id, service.backend.clock.now())
            .await
            .unwrap();
        // No signal: as `finish`, but for the publishing.
        let finish = running.finish(&service, Outcome::Cancelled);
        service.backend.store.finish(vec![finish]).await.unwrap();
    };
    let (answer, ()) = tokio::join!(
        service.send("GET", &path, "prefer: wait=20\r\n", ""),
        silently
    );
    assert_eq!(answer.json()["state"], "cancelled");
}

#[tokio::test]
async fn cancelling_says_what_it_did() {
    let service = Service::start().await;
    let cancel = async |id| {
        let path = format!("/v1/jobs/{id}/cancel");
        service.send("POST", &path, "", "").await
    };
    let queued = service.submit("").await;
    for _ in 0..2 {
        let answer = cancel(queued).await;
        assert_eq!((answer.status, answer.header("retry-after")), (200, None));
        assert_eq!(answer.json()["state"], "cancelled");
    }
    let scheduled = service.submit(",\"delay_s\":60").await;
    assert_eq!(cancel(scheduled).await.json()["state"], "cancelled");

    let running = service.submit("").await;
    service.claim(running).await;
    let answer = cancel(running).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["state"], "running");
    assert_eq!(
        answer.header("location"),
        Some(&*format!("/v1/jobs/{running}"))
    );
    assert!(answer.header("retry-after").is_some());

    let finished = service.submit("").await;
    service.fail(finished).await;
    let answer = cancel(finished).await;
    assert_eq!((answer.status, &*answer.problem()), (409, "job-finished"));
    assert_eq!(answer.json()["state"], "failed");
}

#[tokio::test]
async fn unknown_malformed_and_another_ones_jobs_cannot_be_told_apart() {
    let service = Service::start().await;
    let another = service.job_of_another().await;
    let known = service.submit("").await.to_string();
    let ids = [
        "00000000-0000-7000-8000-000000000000",
        "1",
        "%20",
        "..%2f..%2fetc",
        &another.to_string(),
        &known.to_uppercase(),
    ];
    for (method, suffix) in [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/attempts"),
        ("GET", "/logs"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("DELETE", ""),
    ] {
        let mut bodies = Vec::new();
        for id in ids {
            let path = format!("/v1/jobs/{id}{suffix}");
            let answer = service
                .send(method, &path, "x-request-id: same\r\n", "")
                .await;
            assert_eq!(
                (answer.status, &*answer.problem()),
                (404, "job-not-found"),
                "{path}"
            );
            bodies.push(answer.body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{suffix}");
    }
}

#[tokio::test]
async fn attempts_and_logs_are_collections() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let running = service.claim(id).await;
    let begin = service.backend.clock.now();
    let line = |sequence| LogLine {
        job: id,
        attempt: 1,
        started_at: begin,
        sequence,
        logged_at: service.backend.clock.now(),
        text: format!("line {sequence}"),
    };
    let lines: Vec<LogLine> = (0..5).map(line).collect();
    service.backend.store.append_logs(&lines).await.unwrap();
    service.finish(&running, Outcome::Cancelled).await;
    let attempts = service.get(&format!("/v1/jobs/{id}/attempts")).await;
    assert_eq!(attempts.status, 200);
    assert_eq!(attempts.json()["items"][0]["number"], 1);
    let path = format!("/v1/jobs/{id}/logs");
    let all = service.get(&path).await;
    assert_eq!((all.status, all.header("content-range")), (200, None));
    assert_eq!(all.json()["items"][4]["text"], "line 4");
    assert!(all.json()["next_offset"].is_null());
    for (query, status, range, next) in [
        ("?limit=2", 206, Some("items 0-1/*"), serde_json::json!(2)),
        (
            "?limit=2&offset=4",
            206,
            Some("items 4-4/5"),
            serde_json::Value::Null,
        ),
        ("?offset=9", 200, None, serde_json::Value::Null),
    ] {
        let page = service.get(&format!("{path}{query}")).await;
        assert_eq!(
            (page.status, page.header("content-range")),
            (status, range),
            "{query}"
        );
        assert_eq!(page.json()["next_offset"], next, "{query}");
    }
    let wrong = service
        .get(&format!("{path}?limit=0&offset=x&page=2"))
        .await;
    assert_eq!(
        (wrong.status, &*wrong.problem()),
        (400, "invalid-parameter")
    );
    assert_eq!(wrong.pointers(), ["/limit", "/offset", "/page"]);
}
