//! What problems promise of themselves.

use sqlx::ConnectOptions;

use crate::service::Service;

#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_explanation() {
    let service = Service::start().await;
    for (method, path) in [
        ("GET", "/nowhere"),
        ("GET", "/v1/jobs/1"),
        ("PUT", "/livez"),
    ] {
        let problem = service.send(method, path, "", "").await;
        let page = service.get(problem.json()["type"].as_str().unwrap()).await;
        assert_eq!(page.status, 200);
        let text = String::from_utf8(page.body.clone()).unwrap();
        assert!(text.starts_with(&format!("{} ", problem.status)), "{text}");
        assert!(text.contains(problem.json()["title"].as_str().unwrap()));
    }
    assert_eq!(
        service.get("/problems/none").await.problem(),
        "route-not-found"
    );
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_503_in_time() {
    let service = Service::start().await;
    service.submit("").await;
    // Whoever writes has to wait for this one, who never ends.
    let file = service.database_file();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut holder = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut holder)
        .await
        .unwrap();
    let began = std::time::Instant::now();
    let answer = service
        .post(r#"{"kind":"sleep","payload":{"ms":1},"queue":"new"}"#)
        .await;
    assert!(
        began.elapsed() < std::time::Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (answer.status, &*answer.problem()),
        (503, "database-unavailable")
    );
    assert!(answer.header("retry-after").is_some());
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("Idempotency-Key"), "{detail}");
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    service.submit("").await;
}
