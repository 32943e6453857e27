//! The rows about routes, methods, credentials and health.

use crate::service::Service;

const KEY: &str = "a-key-of-the-operator";
const WITH_KEYS: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-of-the-operator\"";

#[tokio::test]
async fn paths_and_methods_come_before_credentials() {
    let service = Service::start_with(WITH_KEYS).await;
    for (method, path, status, problem, allow) in [
        ("GET", "/", 404, "route-not-found", None),
        ("GET", "/v1/jobs/", 404, "route-not-found", None),
        ("FOO", "/nowhere", 404, "route-not-found", None),
        (
            "DELETE",
            "/v1/kinds",
            405,
            "method-not-allowed",
            Some("GET, HEAD, OPTIONS"),
        ),
        (
            "PUT",
            "/v1/jobs",
            405,
            "method-not-allowed",
            Some("GET, HEAD, POST, DELETE, OPTIONS"),
        ),
        (
            "GET",
            "/v1/jobs/1/cancel",
            405,
            "method-not-allowed",
            Some("POST, OPTIONS"),
        ),
        (
            "POST",
            "/livez",
            405,
            "method-not-allowed",
            Some("GET, HEAD, OPTIONS"),
        ),
        (
            "BREW",
            "/v1/jobs",
            501,
            "method-not-implemented",
            Some("GET, HEAD, POST, DELETE, OPTIONS"),
        ),
        ("GET", "/v1/jobs", 401, "unauthorized", None),
        ("POST", "/v1/jobs", 401, "unauthorized", None),
        ("GET", "/v1/jobs/1", 401, "unauthorized", None),
        ("DELETE", "/v1/jobs/1", 401, "unauthorized", None),
        ("POST", "/v1/jobs/1/retry", 401, "unauthorized", None),
        ("DELETE", "/v1/jobs", 401, "unauthorized", None),
        ("POST", "/v1/jobs/cancel", 401, "unauthorized", None),
        ("POST", "/v1/jobs/retry", 401, "unauthorized", None),
        ("POST", "/v1/jobs/batch", 401, "unauthorized", None),
        ("GET", "/metrics", 401, "unauthorized", None),
    ] {
        let answer = service.send(method, path, "", "").await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, problem),
            "{method} {path}"
        );
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    for path in ["/v1/jobs", "/readyz"] {
        let answer = service.send("OPTIONS", path, "", "").await;
        assert_eq!(answer.status, 204);
        assert!(answer.header("allow").unwrap().contains("OPTIONS"));
    }
}

#[tokio::test]
async fn only_the_key_lets_in() {
    let service = Service::start_with(WITH_KEYS).await;
    let bare = Some("Bearer realm=\"coatcheck\"");
    let invalid = Some("Bearer realm=\"coatcheck\", error=\"invalid_token\"");
    for (authorization, status, challenge) in [
        (format!("Bearer {KEY}"), 200, None),
        (format!("bearer {KEY}"), 200, None),
        (format!("Bearer {KEY}x"), 401, invalid),
        ("Bearer a".to_owned(), 401, invalid),
        ("Basic YTpi".to_owned(), 401, bare),
    ] {
        let head = format!("authorization: {authorization}\r\n");
        let answer = service.send("GET", "/v1/jobs", &head, "").await;
        assert_eq!(answer.status, status, "{authorization}");
        assert_eq!(
            answer.header("www-authenticate"),
            challenge,
            "{authorization}"
        );
    }
    assert_eq!(
        service.get("/v1/jobs").await.header("www-authenticate"),
        bare
    );
}

#[tokio::test]
async fn health_is_open_and_never_cached() {
    let service = Service::start_with(WITH_KEYS).await;
    for path in ["/livez", "/readyz"] {
        let answer = service.get(path).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("no-store"))
        );
        assert_eq!(answer.json()["status"], "ok");
        assert_eq!(service.send("HEAD", path, "", "").await.status, 200);
    }
    let head = format!("authorization: Bearer {KEY}\r\n");
    assert_eq!(service.send("GET", "/metrics", &head, "").await.status, 200);
}

#[tokio::test]
async fn the_request_id_is_the_callers_where_it_is_sane() {
    let service = Service::start().await;
    for (id, kept) in [
        ("abc-1._Z", true),
        ("a b", false),
        ("", false),
        ("<x>", false),
    ] {
        let answer = service
            .send("GET", "/livez", &format!("x-request-id: {id}\r\n"), "")
            .await;
        let answered = answer.header("x-request-id").unwrap();
        assert_eq!(answered == id, kept, "{id}");
        assert!(!answered.is_empty());
    }
}
