//! `/openapi.json` and `/docs`. That every other answer is as documented is held by the client.

use crate::service::Service;

const WITH_KEYS: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-of-the-operator\"";

#[tokio::test]
async fn the_document_is_open_and_has_a_validator() {
    let service = Service::start_with(WITH_KEYS).await;
    let answer = service.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/jobs/{id}"]["get"].is_object());
    let tag = answer.header("etag").unwrap();
    let head = format!("if-none-match: {tag}\r\n");
    let again = service.send("GET", "/openapi.json", &head, "").await;
    assert_eq!(again.status, 304);
    let head = service.send("HEAD", "/openapi.json", "", "").await;
    assert_eq!((head.status, head.header("etag")), (200, Some(tag)));
}

#[tokio::test]
async fn only_built_in_kinds_are_taken_where_there_are_no_others_and_none_is_named() {
    let alternatives = |document: &serde_json::Value| {
        let submission = &document["components"]["schemas"]["Submission"];
        submission["oneOf"].as_array().unwrap().len()
    };
    let service = Service::start().await;
    let document = service.get("/openapi.json").await.json();
    assert_eq!(alternatives(&document), 3);
    let service = Service::start_with("[kinds.of-our-own]\nimplemented = false").await;
    let document = service.get("/openapi.json").await.json();
    assert_eq!(alternatives(&document), 4);
    assert!(!document.to_string().contains("of-our-own"));
}

#[tokio::test]
async fn the_page_and_all_that_it_needs_come_from_this_server() {
    let service = Service::start_with(WITH_KEYS).await;
    let page = service.get("/docs").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    let text = String::from_utf8(page.body).unwrap();
    let needed: Vec<&str> = text
        .split(['"', '\''])
        .filter(|value| value.starts_with("docs/") || value.contains("//"))
        .collect();
    assert_eq!(needed.len(), 4, "{needed:?}");
    for file in needed {
        let answer = service.get(&format!("/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.body.is_empty(), "{file}");
    }
    let answer = service.get("/docs/index.html").await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (404, "route-not-found")
    );
}
