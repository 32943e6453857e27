//! The rows about submissions.

use coatcheck_shared::{clock::Clock, job::Tenant};

use crate::service::{Service, id_of};

const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;

#[tokio::test]
async fn a_submission_is_answered_202_with_where_to_follow_it() {
    let service = Service::start().await;
    let answer = service.post(SLEEP).await;
    assert_eq!(answer.status, 202);
    let job = answer.json();
    let path = format!("/v1/jobs/{}", id_of(&job));
    assert_eq!(answer.header("location"), Some(&*path));
    assert_eq!(answer.header("operation-location"), Some(&*path));
    assert_eq!(
        answer.header("link").unwrap(),
        format!("<{path}>; rel=\"monitor\"")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("date").is_some() && answer.header("x-request-id").is_some());
    let names: Vec<&str> = job
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "id",
        "kind",
        "queue",
        "state",
        "priority",
        "attempt",
        "max_attempts",
        "created_at",
        "run_at",
        "started_at",
        "finished_at",
        "expires_at",
        "progress",
        "error",
        "metadata",
        "links",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(job["state"], "queued");
    assert_eq!(job["queue"], "default");
    assert_eq!(job["priority"], "normal");
    assert_eq!(job["max_attempts"], 3);
    assert_eq!(job["links"]["self"], path);
    assert_eq!(job["links"]["result"], format!("{path}/result"));
    assert_eq!(
        job["created_at"].as_str().unwrap().len(),
        "2026-01-31T12:00:00.000000Z".len()
    );
    let polled = service.get(&path).await;
    assert_eq!(polled.json(), job);
}

#[tokio::test]
async fn a_payload_reaches_the_store_byte_for_byte_with_its_options_and_a_hint() {
    let service = Service::start().await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = service
        .post_with(
            &format!("traceparent: {traceparent}\r\n"),
            "{\"payload\": {  \"ms\" : 4.0 }, \"kind\":\"sleep\",\"queue\":\"mail.eu\",\
             \"priority\":\"high\",\"max_attempts\":7.0,\"timeout_s\":9,\"start_within_s\":60,\
             \"deadline_s\":90,\"retain_s\":5,\"metadata\":{\"customer\":\"42\"}}",
        )
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json();
    assert_eq!(job["metadata"]["customer"], "42");
    assert_eq!(job["max_attempts"], 7);
    let id = id_of(&job);
    let lease = coatcheck_shared::job::LeaseId::generate(&service.backend.clock);
    let store = &service.backend.store;
    let duration = std::time::Duration::from_secs(60);
    store.open_lease(lease, "test", duration).await.unwrap();
    let now = service.backend.clock.now();
    let claimed = store
        .claim(lease, &[id], &["sleep".parse().unwrap()], now)
        .await
        .unwrap();
    assert_eq!(claimed[0].payload, "{  \"ms\" : 4.0 }");
    assert_eq!(claimed[0].traceparent.as_deref(), Some(traceparent));
    assert_eq!(claimed[0].timeout, Some(std::time::Duration::from_secs(9)));
    let lane = coatcheck_shared::queue::Lane {
        queue: "mail.eu".parse().unwrap(),
        priority: coatcheck_shared::job::Priority::High,
    };
    assert!(store.queues().await.unwrap().contains(&lane.queue));
    let popped = service
        .backend
        .queue
        .pop(&[lane], 10, duration)
        .await
        .unwrap();
    assert_eq!(popped, [id]);
}

#[tokio::test]
async fn a_delayed_job_is_scheduled() {
    let service = Service::start().await;
    for fields in [
        ",\"delay_s\":3600",
        ",\"run_at\":\"2999-01-31T13:00:00+01:00\"",
    ] {
        let id = service.submit(fields).await;
        let answer = service.get(&format!("/v1/jobs/{id}")).await;
        assert_eq!(answer.json()["state"], "scheduled");
        assert_eq!(answer.header("retry-after"), Some("30"));
    }
    let id = service.submit(",\"run_at\":\"1999-01-31T13:00:00Z\"").await;
    let job = service.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(job["state"], "queued");
    assert_eq!(job["run_at"], job["created_at"]);
}

#[tokio::test]
async fn who_prefers_to_wait_is_answered_200_when_the_job_is_finished() {
    let service = Service::start().await;
    let worker = async {
        loop {
            let jobs = service
                .backend
                .store
                .list(
                    &Tenant::default(),
                    &Default::default(),
                    coatcheck_shared::job::filter::PageRequest {
                        after: None,
                        before: None,
                        limit: 1,
                    },
                )
                .await
                .unwrap();
            if let Some(job) = jobs.first() {
                let result = coatcheck_shared::job::JobResult::new("text/plain", "done");
                return service.succeed(job.id, result).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let (answer, ()) = tokio::join!(service.post_with("prefer: wait=30\r\n", SLEEP), worker);
    assert_eq!(answer.status, 200);
    let job = answer.json();
    assert_eq!(job["state"], "succeeded");
    let path = format!("/v1/jobs/{}", id_of(&job));
    assert_eq!(answer.header("content-location"), Some(&*path));
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    assert_eq!(answer.header("retry-after"), None);
    assert!(answer.header("etag").is_some());
}

#[tokio::test]
async fn a_wait_that_runs_out_is_answered_202() {
    let service = Service::start().await;
    for (prefer, applied) in [
        ("wait=1", Some("wait=1")),
        ("respond-async", Some("respond-async")),
        ("respond-async, wait=0", Some("respond-async, wait=0")),
        ("handling=lenient", None),
    ] {
        let answer = service
            .post_with(&format!("prefer: {prefer}\r\n"), SLEEP)
            .await;
        assert_eq!(answer.status, 202, "{prefer}");
        assert_eq!(answer.header("preference-applied"), applied, "{prefer}");
        assert!(answer.header("location").is_some());
    }
}
