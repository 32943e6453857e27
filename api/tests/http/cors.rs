//! The rows about pages of other origins.

use crate::{client::Answer, service::Service};

const PAGE: &str = "https://app.example.com";

async fn preflight(service: &Service, origin: &str, path: &str) -> Answer {
    let head = format!(
        "origin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: content-type\r\n"
    );
    service.send("OPTIONS", path, &head, "").await
}

#[tokio::test]
async fn without_a_setting_no_page_is_told_anything() {
    let service = Service::start().await;
    let asked = preflight(&service, PAGE, "/v1/jobs").await;
    assert_eq!(asked.status, 204);
    for name in ["access-control-allow-origin", "vary"] {
        assert_eq!(asked.header(name), None);
    }
    let head = format!("origin: {PAGE}\r\n");
    let answer = service.send("GET", "/v1/jobs", &head, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_page_that_may_call_is_told_what_it_may_send_and_read() {
    let settings = format!("cors.origins = [\"https://other.example\", \"{PAGE}\"]");
    let service = Service::start_with(&settings).await;
    let asked = preflight(&service, PAGE, "/v1/jobs").await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), Some(PAGE));
    let methods = asked.header("access-control-allow-methods");
    assert_eq!(methods, Some("GET, HEAD, POST, DELETE, OPTIONS"));
    assert_eq!(methods, asked.header("allow"));
    let fields = asked.header("access-control-allow-headers").unwrap();
    for field in ["Authorization", "Content-Type", "Idempotency-Key", "Prefer"] {
        assert!(fields.contains(field), "{fields}");
    }
    assert_eq!(asked.header("access-control-max-age"), Some("600"));
    assert_eq!(asked.header("vary"), Some("Origin"));

    let head = format!("origin: {PAGE}\r\n");
    for (method, path, status) in [
        ("GET", "/v1/jobs", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/v1/jobs", 405),
    ] {
        let answer = service.send(method, path, &head, "").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for field in [
            "Location",
            "Retry-After",
            "ETag",
            "X-Request-Id",
            "RateLimit",
        ] {
            assert!(exposed.contains(field), "{exposed}");
        }
    }
}

#[tokio::test]
async fn another_page_is_told_nothing_and_caches_are_warned() {
    let service = Service::start_with(&format!("cors.origins = [\"{PAGE}\"]")).await;
    let asked = preflight(&service, "https://evil.example", "/v1/jobs").await;
    assert_eq!(asked.status, 204);
    for head in ["origin: https://evil.example\r\n", "origin: null\r\n", ""] {
        let answer = service.send("GET", "/livez", head, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn a_star_lets_every_page_in() {
    let service = Service::start_with("cors.origins = [\"*\"]").await;
    let asked = preflight(&service, PAGE, "/v1/jobs").await;
    assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
    assert_eq!(asked.header("vary"), None);
}

async fn submit_from(service: &Service, origin: &str) -> Answer {
    let head = format!("content-type: application/json\r\norigin: {origin}\r\n");
    let body = r#"{"kind":"sleep","payload":{"ms":1}}"#;
    service.send("POST", "/v1/jobs", &head, body).await
}

#[tokio::test]
async fn without_keys_a_page_of_another_origin_has_nothing_done() {
    let service = Service::start().await;
    for origin in [PAGE, "null"] {
        let answer = submit_from(&service, origin).await;
        assert_eq!((answer.status, &*answer.problem()), (403, "cross-origin"));
    }
    assert_eq!(submit_from(&service, "http://test").await.status, 202);
    let head = format!("origin: {PAGE}\r\n");
    assert_eq!(service.send("GET", "/v1/jobs", &head, "").await.status, 200);
    let settings = format!("cors.origins = [\"{PAGE}\"]");
    let service = Service::start_with(&settings).await;
    assert_eq!(submit_from(&service, PAGE).await.status, 202);
}
