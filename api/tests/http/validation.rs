//! The rows about submissions that are refused.

use coatcheck_shared::{job::Tenant, kind::KindDefinition};

use crate::service::Service;

/// What is wrong with a body, and at which places the answer says so.
const INVALID: &[(&str, &[&str])] = &[
    (r#"{}"#, &["/kind", "/payload"]),
    (r#"{"kind":"sleep"}"#, &["/payload"]),
    (r#"{"kind":"sleep","payload":{}}"#, &["/payload/ms"]),
    (r#"{"kind":"sleep","payload":{"ms":"1"}}"#, &["/payload/ms"]),
    (
        r#"{"kind":"sleep","payload":{"ms":1,"x":1}}"#,
        &["/payload/x"],
    ),
    (r#"{"kind":7,"payload":1}"#, &["/kind"]),
    (r#"{"kind":"nap","payload":1}"#, &["/kind"]),
    (
        r#"{"kind":"sleep","payload":{"ms":-1},"max_attempts":0,"colour":"red","queue":"A B"}"#,
        &["/colour", "/max_attempts", "/payload/ms", "/queue"],
    ),
    (
        r#"{"kind":"sleep","payload":{"ms":1},"delay_s":-1,"priority":"urgent","timeout_s":0.5}"#,
        &["/delay_s", "/priority", "/timeout_s"],
    ),
    (
        r#"{"kind":"sleep","payload":{"ms":1},"delay_s":1,"run_at":"2030-01-01T00:00:00Z"}"#,
        &["/delay_s", "/run_at"],
    ),
    (
        r#"{"kind":"sleep","payload":{"ms":1},"metadata":{"a":1},"run_at":"soon","retain_s":"1"}"#,
        &["/metadata/a", "/retain_s", "/run_at"],
    ),
    (
        r#"{"kind":"sleep","payload":{"ms":1},"max_attempts":1001,"start_within_s":0,"deadline_s":0}"#,
        &["/deadline_s", "/max_attempts", "/start_within_s"],
    ),
];

#[tokio::test]
async fn a_400_names_every_wrong_field() {
    let service = Service::start().await;
    for (body, pointers) in INVALID {
        let answer = service.post(body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.problem(), "invalid-request", "{body}");
        assert_eq!(answer.pointers(), *pointers, "{body}");
    }
    assert!(list(&service).await.is_empty());
}

#[tokio::test]
async fn malformed_json_is_refused_where_it_breaks() {
    let service = Service::start().await;
    let deep = format!(
        "{{\"kind\":\"sleep\",\"payload\":{}1{}}}",
        "[".repeat(64),
        "]".repeat(64)
    );
    for (body, pointer) in [
        ("", ""),
        ("{", ""),
        ("[]", ""),
        (
            r#"{"kind":"sleep","kind":"sleep","payload":{"ms":1}}"#,
            "/kind",
        ),
        (
            r#"{"kind":"sleep","payload":{"ms":1,"ms":1}}"#,
            "/payload/ms",
        ),
        (&deep, &format!("/payload{}", "/0".repeat(63))),
    ] {
        let answer = service.post(body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.problem(), "malformed-json", "{body}");
        assert_eq!(answer.pointers(), [pointer], "{body}");
    }
}

#[tokio::test]
async fn an_unknown_kind_is_answered_with_those_that_exist() {
    let service = Service::start_with("kinds.render.implemented = false").await;
    let answer = service.post(r#"{"kind":"nap","payload":{}}"#).await;
    let known: Vec<&str> = vec!["command", "http", "render", "sleep"];
    assert_eq!(answer.json()["kinds"], serde_json::json!(known));
    let detail = answer.json()["errors"][0]["detail"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(known.iter().all(|kind| detail.contains(kind)), "{detail}");
}

#[tokio::test]
async fn a_kind_that_a_worker_has_just_announced_is_known_and_checked() {
    let service = Service::start().await;
    let kind = KindDefinition {
        name: "thumbnail".parse().unwrap(),
        description: String::new(),
        payload_schema: serde_json::json!({"type": "object", "required": ["file"]}),
        media_types: None,
    };
    service.backend.store.announce_kinds(&[kind]).await.unwrap();
    let good = r#"{"kind":"thumbnail","payload":{"file":"a"}}"#;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while service.post(good).await.status != 202 {
        assert!(tokio::time::Instant::now() < deadline, "never known");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let answer = service.post(r#"{"kind":"thumbnail","payload":{}}"#).await;
    assert_eq!(answer.pointers(), ["/payload/file"]);
    let kinds = service.get("/v1/kinds").await.json();
    let kinds = kinds["items"].as_array().unwrap();
    let names: Vec<&str> = kinds
        .iter()
        .map(|kind| kind["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["command", "http", "sleep", "thumbnail"]);
}

#[tokio::test]
async fn a_declared_kind_is_501_and_nothing_is_stored() {
    let service = Service::start_with("kinds.render.implemented = false").await;
    let answer = service.post(r#"{"kind":"render","payload":{"x":1}}"#).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (501, "kind-not-implemented")
    );
    assert!(list(&service).await.is_empty());
}

#[tokio::test]
async fn another_media_type_or_coding_is_415() {
    let service = Service::start().await;
    let body = r#"{"kind":"sleep","payload":{"ms":1}}"#;
    for head in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: application/json; charset=iso-8859-1\r\n",
    ] {
        let answer = service.send("POST", "/v1/jobs", head, body).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (415, "unsupported-media-type")
        );
        assert_eq!(answer.header("accept"), Some("application/json"));
    }
    let answer = service.post_with("content-encoding: gzip\r\n", body).await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (415, "unsupported-coding")
    );
    assert_eq!(answer.header("accept-encoding"), Some("identity"));
}

async fn list(service: &Service) -> Vec<coatcheck_shared::job::Job> {
    let page = coatcheck_shared::job::filter::PageRequest {
        after: None,
        before: None,
        limit: 10,
    };
    service
        .backend
        .store
        .list(&Tenant::default(), &Default::default(), page)
        .await
        .unwrap()
}
