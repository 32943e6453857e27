//! The rows about lists.

use serde_json::Value;

use crate::service::Service;

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn submit_many(service: &Service, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let fields = format!(",\"metadata\":{{\"number\":\"{number}\"}}");
        ids.push(service.submit(&fields).await.to_string());
    }
    ids.sort_unstable();
    ids.reverse();
    ids
}

#[tokio::test]
async fn one_page_is_200_and_several_are_206() {
    let service = Service::start().await;
    let empty = service.get("/v1/jobs").await;
    assert_eq!(
        (empty.status, empty.header("accept-ranges")),
        (200, Some("items"))
    );
    assert_eq!(
        empty.json(),
        serde_json::json!({"items": [], "next_cursor": null})
    );

    let all = submit_many(&service, 5).await;
    let page = service.get("/v1/jobs?limit=5").await;
    assert_eq!((page.status, page.header("content-range")), (200, None));
    assert_eq!(ids(&page.json()), all);
    assert_eq!(
        page.header("link"),
        Some("</v1/jobs?limit=5>; rel=\"first\"")
    );

    let mut target = "/v1/jobs?limit=2".to_owned();
    let mut seen = Vec::new();
    for range in ["items 0-1/*", "items 2-3/*", "items 4-4/5"] {
        let page = service.get(&target).await;
        assert_eq!(
            (page.status, page.header("content-range")),
            (206, Some(range))
        );
        seen.extend(ids(&page.json()));
        let links = page.header("link").unwrap();
        let next = links
            .split(", ")
            .find(|link| link.ends_with("rel=\"next\""));
        match next {
            Some(link) => target = link[1..link.find('>').unwrap()].to_owned(),
            None => assert!(page.json()["next_cursor"].is_null()),
        }
    }
    assert_eq!(seen, all);

    // And back again.
    for (range, items) in [("items 2-3/*", &all[2..4]), ("items 0-1/*", &all[..2])] {
        let page = service.get(&target).await;
        let links = page.header("link").unwrap();
        let link = links
            .split(", ")
            .find(|link| link.ends_with("rel=\"prev\""))
            .unwrap();
        target = link[1..link.find('>').unwrap()].to_owned();
        let page = service.get(&target).await;
        assert_eq!(
            (page.status, page.header("content-range")),
            (206, Some(range))
        );
        assert_eq!(ids(&page.json()), items);
    }
    assert!(
        !service
            .get(&target)
            .await
            .header("link")
            .unwrap()
            .contains("prev")
    );
}

#[tokio::test]
async fn a_range_of_items_is_a_page_too() {
    let service = Service::start().await;
    let all = submit_many(&service, 5).await;
    for (range, status, content_range, items) in [
        ("items=0-1", 206, Some("items 0-1/*"), &all[..2]),
        ("items=3-9", 206, Some("items 3-4/5"), &all[3..]),
        ("items=1-", 206, Some("items 1-4/5"), &all[1..]),
        ("items=0-9", 200, None, &all[..]),
        ("items=2-1", 200, None, &all[..]),
        ("bytes=0-1", 200, None, &all[..]),
    ] {
        let page = service
            .send("GET", "/v1/jobs", &format!("range: {range}\r\n"), "")
            .await;
        assert_eq!(
            (page.status, page.header("content-range")),
            (status, content_range),
            "{range}"
        );
        assert_eq!(ids(&page.json()), items, "{range}");
    }
    for range in ["items=5-6", "items=9999-"] {
        let page = service
            .send("GET", "/v1/jobs", &format!("range: {range}\r\n"), "")
            .await;
        assert_eq!(
            (page.status, &*page.problem()),
            (416, "range-not-satisfiable")
        );
        assert_eq!(page.header("content-range"), Some("items */5"));
    }
}

#[tokio::test]
async fn filters_leave_out_what_does_not_match() {
    let service = Service::start().await;
    let all = submit_many(&service, 3).await;
    let scheduled = service
        .submit(",\"delay_s\":60,\"queue\":\"later\"")
        .await
        .to_string();
    service.job_of_another().await;
    for (query, count) in [
        ("", 4),
        ("state=queued", 3),
        ("state=queued,scheduled", 4),
        ("state=queued&state=scheduled", 4),
        ("state=running", 0),
        ("kind=sleep", 4),
        ("kind=http", 0),
        ("queue=later", 1),
        ("metadata.number=1", 1),
        ("created_after=2999-01-01T00:00:00Z", 0),
        ("created_before=2999-01-01T00:00:00Z", 4),
    ] {
        let page = service.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(ids(&page.json()).len(), count, "{query}");
    }
    assert_eq!(
        ids(&service.get("/v1/jobs?queue=later").await.json()),
        [scheduled]
    );
    assert_eq!(
        ids(&service.get("/v1/jobs?metadata.number=2").await.json()),
        all[..1]
    );
}

#[tokio::test]
async fn a_wrong_query_is_400_and_names_every_parameter() {
    let service = Service::start().await;
    for (query, pointers) in [
        ("limit=0", vec!["/limit"]),
        ("limit=1001", vec!["/limit"]),
        ("limit=1&limit=2", vec!["/limit"]),
        ("cursor=abc", vec!["/cursor"]),
        (
            "state=done&kind=A&created_after=now",
            vec!["/created_after", "/kind", "/state"],
        ),
        ("colour=red", vec!["/colour"]),
    ] {
        let answer = service.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-parameter")
        );
        assert_eq!(answer.pointers(), pointers, "{query}");
    }
}
