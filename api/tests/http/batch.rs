//! The rows about batches.

use std::time::Duration;

use coatcheck_shared::{job::Priority, queue::Lane};
use serde_json::{Value, json};
use sqlx::ConnectOptions;

use crate::{
    client::Answer,
    service::{Service, id_of},
};

pub(crate) const SLEEP: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;

async fn send(service: &Service, media_type: &str, query: &str, body: &str) -> Answer {
    let head = format!("content-type: {media_type}\r\nx-request-id: the-batch\r\n");
    let path = format!("/v1/jobs/batch{query}");
    service.send("POST", &path, &head, body).await
}

pub(crate) async fn post(service: &Service, body: &str) -> Answer {
    send(service, "application/json", "", body).await
}

async fn post_lines(service: &Service, query: &str, body: &str) -> Answer {
    send(service, "application/x-ndjson", query, body).await
}

pub(crate) fn batch(jobs: &[&str]) -> String {
    format!("{{\"jobs\":[{}]}}", jobs.join(","))
}

pub(crate) fn atomic(jobs: &[&str]) -> String {
    format!("{{\"jobs\":[{}],\"atomic\":true}}", jobs.join(","))
}

pub(crate) fn outcomes(answer: &Answer) -> Vec<Value> {
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["outcomes"].as_array().unwrap().clone()
}

pub(crate) fn statuses(answer: &Answer) -> Vec<u64> {
    let outcomes = outcomes(answer);
    let statuses = outcomes.iter().map(|outcome| outcome["status"].as_u64());
    statuses.map(Option::unwrap).collect()
}

pub(crate) async fn count(service: &Service) -> usize {
    let page = service.get("/v1/jobs?limit=1000").await.json();
    page["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_batch_of_good_submissions_is_202_with_the_jobs_in_order() {
    let service = Service::start().await;
    let bodies: Vec<String> = (0..1_000)
        .map(|number| {
            format!(
                "{{\"kind\":\"sleep\",\"payload\":{{\"ms\":{number}}},\"queue\":\"mail\",\
                 \"metadata\":{{\"number\":\"{number}\"}}}}"
            )
        })
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    for body in [batch(&bodies), atomic(&bodies)] {
        let before = count(&service).await;
        let answer = post(&service, &body).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let outcomes = outcomes(&answer);
        assert_eq!(outcomes.len(), 1_000);
        for (number, outcome) in outcomes.iter().enumerate() {
            assert_eq!(outcome["status"], 202);
            assert_eq!(outcome["job"]["metadata"]["number"], number.to_string());
            assert!(outcome.get("error").is_none());
        }
        let job = &outcomes[999]["job"];
        let path = job["links"]["self"].as_str().unwrap();
        assert_eq!(service.get(path).await.json(), *job);
        assert_eq!(count(&service).await, (before + 1_000).min(1_000));
        let lane = Lane {
            queue: "mail".parse().unwrap(),
            priority: Priority::Normal,
        };
        let mut popped = Vec::new();
        while popped.len() < 1_000 {
            let pop = service.backend.queue.pop(
                std::slice::from_ref(&lane),
                1_000,
                Duration::from_secs(10),
            );
            popped.extend(pop.await.unwrap());
        }
        popped.sort();
        let mut accepted: Vec<_> = outcomes.iter().map(|it| id_of(&it["job"])).collect();
        accepted.sort();
        assert_eq!(popped, accepted, "the workers are told of each");
    }
}

#[tokio::test]
async fn a_batch_that_is_good_in_part_is_200_with_an_outcome_each() {
    let service = Service::start_with("kinds.render.implemented = false").await;
    let jobs = [
        SLEEP,
        r#"{"kind":"sleep","payload":{"ms":"1"},"colour":1}"#,
        r#"{"kind":"sleep","payload":{"ms":1,"ms":2}}"#,
        r#"{"kind":"nap","payload":1}"#,
        "7",
        r#"{"kind":"render","payload":1}"#,
        SLEEP,
    ];
    let answer = post(&service, &batch(&jobs)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(statuses(&answer), [202, 400, 400, 400, 400, 501, 202]);
    let outcomes = outcomes(&answer);
    for (index, problem, pointers) in [
        (1, "invalid-request", vec!["/payload/ms", "/colour"]),
        (2, "malformed-json", vec!["/payload/ms"]),
        (3, "invalid-request", vec!["/kind"]),
        (4, "malformed-json", vec![""]),
    ] {
        let error = &outcomes[index]["error"];
        assert_eq!(error["type"], format!("/problems/{problem}"), "{error}");
        assert_eq!(
            (&error["status"], &error["instance"]),
            (&json!(400), &json!("the-batch"))
        );
        let found = error["errors"].as_array().unwrap();
        let found: Vec<&str> = found
            .iter()
            .map(|it| it["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(found, pointers);
        assert!(outcomes[index].get("job").is_none());
    }
    assert_eq!(count(&service).await, 2);
    let none = post(&service, &batch(&["{}", "{}"])).await;
    assert_eq!((none.status, statuses(&none)), (200, vec![400, 400]));
    assert_eq!(count(&service).await, 2);
}

#[tokio::test]
async fn an_atomic_batch_with_a_bad_item_is_that_items_problem_and_nothing_is_stored() {
    let service = Service::start_with("kinds.render.implemented = false").await;
    let wrong = r#"{"kind":"sleep","payload":{"ms":"1"}}"#;
    for (jobs, status, problem, pointers) in [
        (
            vec![SLEEP, SLEEP, SLEEP, wrong],
            400,
            "invalid-request",
            vec!["/jobs/3/payload/ms"],
        ),
        (
            vec![wrong, SLEEP, r#"{"kind":"nap","payload":1,"x":1}"#],
            400,
            "invalid-request",
            vec!["/jobs/0/payload/ms", "/jobs/2/kind", "/jobs/2/x"],
        ),
        (
            vec![SLEEP, "[]", wrong],
            400,
            "malformed-json",
            vec!["/jobs/1"],
        ),
        (
            vec![SLEEP, r#"{"kind":"render","payload":1}"#],
            501,
            "kind-not-implemented",
            vec!["/jobs/1"],
        ),
    ] {
        let answer = post(&service, &atomic(&jobs)).await;
        assert_eq!((answer.status, &*answer.problem()), (status, problem));
        assert_eq!(answer.pointers(), pointers);
        let lines = post_lines(&service, "?atomic=true", &jobs.join("\n")).await;
        assert_eq!(
            (lines.status, lines.pointers()),
            (status, answer.pointers())
        );
    }
    assert_eq!(count(&service).await, 0);
}

#[tokio::test]
async fn what_is_no_batch_is_400() {
    let service = Service::start().await;
    let too_many = batch(&vec!["1"; 1_001]);
    for (body, problem, pointers) in [
        ("", "malformed-json", vec![""]),
        ("[]", "malformed-json", vec![""]),
        (r#"{"jobs":[1}"#, "malformed-json", vec![""]),
        (r#"{"jobs":[],"jobs":[]}"#, "malformed-json", vec!["/jobs"]),
        ("{}", "invalid-request", vec!["/jobs"]),
        (r#"{"jobs":[]}"#, "invalid-request", vec!["/jobs"]),
        (r#"{"jobs":{}}"#, "invalid-request", vec!["/jobs"]),
        (r#"{"jobs":null}"#, "invalid-request", vec!["/jobs"]),
        (&too_many, "invalid-request", vec!["/jobs"]),
        (
            r#"{"jobs":7,"atomic":"yes","x/y":1}"#,
            "invalid-request",
            vec!["/atomic", "/jobs", "/x~1y"],
        ),
    ] {
        let answer = post(&service, body).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, problem),
            "{body}"
        );
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    let lines = format!("{SLEEP}\n").repeat(1_001);
    for body in ["", "\n", " \r\n\r\n", &lines] {
        let answer = post_lines(&service, "", body).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-request")
        );
        assert_eq!(answer.pointers(), ["/jobs"]);
    }
    for query in ["?atomic=yes", "?colour=red"] {
        let answer = post_lines(&service, query, SLEEP).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-parameter")
        );
    }
    assert_eq!(count(&service).await, 0);
}

#[tokio::test]
async fn lines_are_submissions_however_they_end() {
    let service = Service::start().await;
    for (body, expected) in [
        (SLEEP.to_owned(), vec![202]),
        (format!("{SLEEP}\n{SLEEP}\n"), vec![202, 202]),
        (format!("{SLEEP}\r\n{SLEEP}\r\n"), vec![202, 202]),
        (
            format!("{SLEEP}\r\n\r\n{{}}\r\n\n{SLEEP}"),
            vec![202, 400, 202],
        ),
        (
            format!("{SLEEP}\n{SLEEP}{SLEEP}\n{{\"kind\":\n"),
            vec![202, 400, 400],
        ),
    ] {
        let answer = post_lines(&service, "", &body).await;
        let status = if expected.contains(&400) { 200 } else { 202 };
        assert_eq!(
            (answer.status, statuses(&answer)),
            (status, expected),
            "{body}"
        );
    }
    let answer = send(&service, "application/x-ndjson; charset=utf-8", "", SLEEP).await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn the_limits_of_a_body_hold_for_a_batch() {
    let service = Service::start_with("limits.body_bytes = 1024").await;
    let answer = post(&service, &batch(&[SLEEP; 40])).await;
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
    let answer = send(&service, "text/plain", "", SLEEP).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (415, "unsupported-media-type")
    );
    assert_eq!(
        answer.header("accept"),
        Some("application/json, application/x-ndjson")
    );
    // Lines are taken nowhere else.
    let head = "content-type: application/x-ndjson\r\n";
    let answer = service.send("POST", "/v1/jobs", head, SLEEP).await;
    assert_eq!(answer.status, 415);
}

#[tokio::test]
async fn the_names_under_jobs_are_no_ids() {
    let service = Service::start().await;
    for name in ["batch", "cancel", "retry"] {
        for method in ["GET", "DELETE"] {
            let answer = service
                .send(method, &format!("/v1/jobs/{name}"), "", "")
                .await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("POST, OPTIONS"))
            );
        }
    }
}

#[tokio::test]
async fn a_batch_that_the_database_does_not_take_is_503() {
    let service = Service::start().await;
    service.submit("").await;
    let file = service.database_file();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut holder = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut holder)
        .await
        .unwrap();
    let new_queue = r#"{"kind":"sleep","payload":{"ms":1},"queue":"new"}"#;
    for body in [batch(&[SLEEP, "{}"]), atomic(&[SLEEP]), batch(&[new_queue])] {
        let began = std::time::Instant::now();
        let answer = post(&service, &body).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (503, "database-unavailable")
        );
        assert!(answer.header("retry-after").is_some());
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
}
