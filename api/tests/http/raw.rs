//! The rows about submissions whose body is the payload.

use coatcheck_shared::{job::LeaseId, kind::KindDefinition};
use std::time::Duration;

use crate::{
    client::Answer,
    service::{Service, id_of},
};

async fn service() -> Service {
    let service = Service::start().await;
    announce(&service, "thumbnail", &["image/*", "text/csv"]).await;
    service
}

/// Announces a kind, as a worker does, and waits until it is known.
async fn announce(service: &Service, name: &str, media_types: &[&str]) {
    let kind = KindDefinition::of_bytes(name, "", media_types).unwrap();
    service.backend.store.announce_kinds(&[kind]).await.unwrap();
    let begin = tokio::time::Instant::now();
    let wrong = format!("kind={name}&colour=red");
    while post(service, &wrong, Some("image/png"), "")
        .await
        .pointers()
        != ["/colour"]
    {
        assert!(begin.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn post(service: &Service, query: &str, media_type: Option<&str>, body: &str) -> Answer {
    let head = media_type.map_or(String::new(), |it| format!("content-type: {it}\r\n"));
    let target = format!("/v1/jobs?{query}");
    service.send("POST", &target, &head, body).await
}

#[tokio::test]
async fn the_body_is_kept_byte_for_byte_with_its_media_type() {
    let service = service().await;
    let body = "\u{0}\u{1}{\"not\": json\r\n\u{7f}";
    let query = "kind=thumbnail&queue=images&priority=high&max_attempts=7&timeout_s=9\
                 &metadata.customer=42&metadata.a.b=c&unique.key=k%201&retain_s=60";
    let answer = post(&service, query, Some("image/svg+xml; charset=x"), body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json();
    for (field, value) in [
        ("kind", "thumbnail".into()),
        ("queue", "images".into()),
        ("priority", "high".into()),
        ("max_attempts", 7.into()),
        (
            "metadata",
            serde_json::json!({"customer": "42", "a.b": "c"}),
        ),
    ] {
        assert_eq!(job[field], value, "{field}");
    }
    let store = &service.backend.store;
    let lease = LeaseId::generate(&service.backend.clock);
    let duration = Duration::from_secs(60);
    store.open_lease(lease, "test", duration).await.unwrap();
    let now = coatcheck_shared::clock::Clock::now(&service.backend.clock);
    let kinds = ["thumbnail".parse().unwrap()];
    let claimed = store.claim(lease, &[id_of(&job)], &kinds, now).await;
    let claimed = claimed.unwrap().pop().unwrap();
    assert_eq!(claimed.payload_type, "image/svg+xml; charset=x");
    assert_eq!(claimed.payload, body.as_bytes());
    assert_eq!(claimed.timeout, Some(Duration::from_secs(9)));
    let again = post(&service, query, Some("image/png"), body).await;
    assert_eq!((again.status, &*again.problem()), (409, "job-exists"));
}

#[tokio::test]
async fn a_kind_says_which_media_types_it_takes() {
    let service = service().await;
    for (kind, media_type, status) in [
        ("thumbnail", Some("image/png"), 202),
        ("thumbnail", Some("TEXT/CSV; header=present"), 202),
        ("thumbnail", Some("application/json"), 415),
        ("thumbnail", Some("image"), 415),
        ("thumbnail", None, 415),
        ("sleep", Some("application/json"), 202),
        ("sleep", Some("image/png"), 415),
        ("sleep", None, 415),
    ] {
        let answer = post(&service, &format!("kind={kind}"), media_type, "{\"ms\":1}").await;
        assert_eq!(answer.status, status, "{kind} {media_type:?}: {answer:?}");
        if status == 415 {
            assert_eq!(answer.problem(), "unsupported-media-type");
            let accepted = match kind {
                "sleep" => "application/json",
                _ => "image/*, text/csv",
            };
            assert_eq!(answer.header("accept"), Some(accepted));
        }
    }
    let head = "content-type: image/png\r\ncontent-encoding: gzip\r\n";
    let target = "/v1/jobs?kind=thumbnail";
    let coded = service.send("POST", target, head, "x").await;
    assert_eq!(
        (coded.status, &*coded.problem()),
        (415, "unsupported-coding")
    );
    let enveloped = service
        .post(r#"{"kind":"thumbnail","payload":[1, 2]}"#)
        .await;
    assert_eq!(enveloped.status, 202);
    let kinds = service.get("/v1/kinds").await.json();
    let taken = |name: &str| {
        let kinds = kinds["items"].as_array().unwrap();
        let kind = kinds.iter().find(|kind| kind["name"] == name).unwrap();
        kind["media_types"].clone()
    };
    assert_eq!(taken("sleep"), serde_json::json!(["application/json"]));
    assert_eq!(
        taken("thumbnail"),
        serde_json::json!(["image/*", "text/csv"])
    );
}

#[tokio::test]
async fn every_wrong_parameter_and_payload_is_named() {
    let service = service().await;
    let json = Some("application/json");
    for (query, problem, pointers) in [
        (
            "kind=sleep&max_attempts=0&delay_s=x&colour=red&priority=urgent&metadata=x",
            "invalid-parameter",
            vec![
                "/colour",
                "/delay_s",
                "/max_attempts",
                "/metadata",
                "/priority",
            ],
        ),
        (
            "kind=sleep&queue=a&queue=b",
            "invalid-parameter",
            vec!["/queue"],
        ),
        ("kind=nothing", "invalid-parameter", vec!["/kind"]),
        ("kind=sleep", "invalid-request", vec!["/ms"]),
    ] {
        let answer = post(&service, query, json, "{}").await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, problem),
            "{query}"
        );
        assert_eq!(answer.pointers(), pointers, "{query}");
    }
    for body in ["{", "{\"ms\":1}{", "{\"ms\":1,\"ms\":2}", ""] {
        let answer = post(&service, "kind=sleep", json, body).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "malformed-json"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn raw_bodies_have_the_same_bounds_and_idempotency() {
    let service = Service::start_with("limits.body_bytes = 2000").await;
    announce(&service, "any", &["*/*"]).await;
    let large = "x".repeat(2_001);
    let answer = post(&service, "kind=any", None, &large).await;
    assert_eq!((answer.status, &*answer.problem()), (413, "body-too-large"));
    let head = "idempotency-key: \"k\"\r\n";
    let mut ids = Vec::new();
    for (query, body, status) in [
        ("kind=any", "a", 202),
        ("kind=any", "a", 202),
        ("kind=any&queue=q", "a", 422),
        ("kind=any", "b", 422),
    ] {
        let target = format!("/v1/jobs?{query}");
        let answer = service.send("POST", &target, head, body).await;
        assert_eq!(answer.status, status, "{query} {body}");
        ids.push(answer.json()["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_query_without_a_kind_is_not_ignored() {
    let service = Service::start().await;
    let submission = r#"{"kind":"sleep","payload":{"ms":1}}"#;
    let json = Some("application/json");
    let answer = post(&service, "queue=x&nope=1", json, submission).await;
    let problem = (answer.status, &*answer.problem());
    assert_eq!(problem, (400, "invalid-parameter"), "{answer:?}");
    assert_eq!(answer.pointers(), ["/nope", "/queue"]);
}

#[tokio::test]
async fn a_second_media_type_is_no_media_type() {
    let service = service().await;
    for (query, head) in [
        (
            "",
            "content-type: application/json\r\ncontent-type: application/json\r\n",
        ),
        ("", "content-type: application/json, text/plain\r\n"),
        (
            "?kind=sleep",
            "content-type: application/json\r\ncontent-type: text/plain\r\n",
        ),
        (
            "?kind=thumbnail",
            "content-type: image/png\r\ncontent-type: text/csv\r\n",
        ),
        (
            "/batch",
            "content-type: application/x-ndjson\r\ncontent-type: application/json\r\n",
        ),
    ] {
        let target = format!("/v1/jobs{query}");
        let answer = service.send("POST", &target, head, "{}").await;
        let problem = (answer.status, &*answer.problem());
        assert_eq!(problem, (400, "malformed-request"), "{head}");
    }
    let quoted = "content-type: image/png; name=\"a, b\"\r\n";
    let answer = service
        .send("POST", "/v1/jobs?kind=thumbnail", quoted, "x")
        .await;
    assert_eq!(answer.status, 202, "a comma in quotes separates nothing");
}

#[tokio::test]
async fn each_parameter_of_the_document_is_taken_and_no_other() {
    let document = coatcheck_api::document();
    let described = document["paths"]["/v1/jobs"]["post"]["parameters"]
        .as_array()
        .unwrap();
    let mut described: Vec<&str> = described
        .iter()
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    let service = service().await;
    let wrong = post(
        &service,
        "kind=sleep&colour=red",
        Some("application/json"),
        "{}",
    )
    .await;
    let detail = wrong.json()["errors"][0]["detail"].to_string();
    let (_, known) = detail.trim_matches('"').rsplit_once("there are ").unwrap();
    let known = known.replace("metadata.NAME", "metadata");
    let mut known: Vec<&str> = known.split(", ").collect();
    known.sort_unstable();
    described.sort_unstable();
    assert_eq!(described, known);
}
