//! The rows about queues: how much waits and runs in them, and who sees that.

use std::time::{Duration, Instant};

use coatcheck_shared::api_key::{NewApiKey, Scope};
use serde_json::Value;

use crate::{
    keys::{bearer, key, stored},
    service::Service,
};

const WITH_KEYS: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-of-the-operator\"";
const OPERATOR: &str = "authorization: Bearer a-key-of-the-operator\r\n";

/// What a path answers once that is as it should be: a count makes way for the next one.
async fn eventually(
    service: &Service,
    path: &str,
    head: &str,
    is_right: impl Fn(&Value) -> bool,
) -> Value {
    let began = Instant::now();
    loop {
        let answer = service.send("GET", path, head, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        if is_right(&body) {
            return body;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{path}: {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_waits_and_runs_is_counted() {
    let service = Service::start().await;
    service.submit("").await;
    let running = service.submit("").await;
    service.claim(running).await;
    service.submit(",\"delay_s\":60,\"queue\":\"later\"").await;
    let list = eventually(&service, "/v1/queues", "", |list| {
        list["items"][0]["running"] == 1 && list["items"][1]["scheduled"] == 1
    })
    .await;
    let default = &list["items"][0];
    assert_eq!(default["name"], "default");
    assert_eq!(
        (&default["depth"], &default["demand"]),
        (&1.into(), &2.into())
    );
    assert!(default["oldest_age_s"].is_u64(), "{default}");
    assert!(default["counted_at"].is_string(), "{default}");
    assert_eq!(list["items"][1]["name"], "later");
    assert_eq!(list["items"][1]["oldest_age_s"], Value::Null);
    let one = eventually(&service, "/v1/queues/default", "", |one| one["demand"] == 2).await;
    assert_eq!(one["name"], "default");
}

#[tokio::test]
async fn a_queue_without_jobs_is_empty_and_what_is_no_name_is_404() {
    let service = Service::start().await;
    let empty = service.get("/v1/queues/never-used").await;
    assert_eq!(empty.status, 200);
    assert_eq!(empty.json()["depth"], 0);
    assert_eq!(empty.json()["demand"], 0);
    let none = service.get("/v1/queues/NO%20NAME").await;
    assert_eq!(
        (none.status, none.problem()),
        (404, "queue-not-found".into())
    );
}

#[tokio::test]
async fn a_key_sees_its_tenants_jobs_and_those_that_it_is_good_for_the_operator_all() {
    let service = Service::start_with(WITH_KEYS).await;
    let submit_as = async |tenant: &str, queue: &str| {
        let head = bearer(&key(&service, tenant, &[Scope::Submit]).await);
        let body = format!("{{\"kind\":\"sleep\",\"payload\":{{\"ms\":1}},\"queue\":\"{queue}\"}}");
        assert_eq!(service.post_with(&head, &body).await.status, 202);
    };
    submit_as("a", "default").await;
    submit_as("a", "special").await;
    submit_as("b", "default").await;
    let sees = async |head: String, expected: &[(&str, u64)]| {
        eventually(&service, "/v1/queues", &head, |list| {
            let items = list["items"].as_array().unwrap();
            let found: Vec<(&str, u64)> = items
                .iter()
                .map(|item| {
                    let name = item["name"].as_str().unwrap();
                    (name, item["depth"].as_u64().unwrap())
                })
                .collect();
            found == expected
        })
        .await;
    };
    sees(OPERATOR.to_owned(), &[("default", 2), ("special", 1)]).await;
    let admin = bearer(&key(&service, "default", &[Scope::Admin]).await);
    sees(admin, &[("default", 2), ("special", 1)]).await;
    // The operator's tenant is one like the others, but for those who administer it.
    let reader = bearer(&key(&service, "default", &[Scope::Read]).await);
    sees(reader, &[]).await;
    let admin_of_a = bearer(&key(&service, "a", &[Scope::Admin]).await);
    sees(admin_of_a, &[("default", 1), ("special", 1)]).await;
    let b = bearer(&key(&service, "b", &[Scope::Read]).await);
    sees(b, &[("default", 1)]).await;

    let limited = |queues: Option<&str>, kinds: Option<&str>| NewApiKey {
        tenant: "a".parse().unwrap(),
        scopes: vec![Scope::Read],
        queues: queues.map(|queue| vec![queue.parse().unwrap()]),
        kinds: kinds.map(|kind| vec![kind.parse().unwrap()]),
        expires_at: None,
    };
    let to_a_queue = bearer(&stored(&service, limited(Some("special"), None)).await);
    sees(to_a_queue, &[("special", 1)]).await;
    let to_another_kind = bearer(&stored(&service, limited(None, Some("http"))).await);
    sees(to_another_kind, &[]).await;
}

#[tokio::test]
async fn the_metrics_have_the_figures_of_the_queues() {
    let service = Service::start().await;
    service.submit("").await;
    let began = Instant::now();
    loop {
        let answer = service.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body).unwrap();
        if text.contains("coatcheck_queue_jobs{queue=\"default\",state=\"queued\"} 1") {
            assert!(text.contains("coatcheck_queue_oldest_age_seconds{queue=\"default\"}"));
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{text}");
    }
}
