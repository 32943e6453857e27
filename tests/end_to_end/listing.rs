//! Pages of jobs.

use coatcheck_tests::deployment::{Mode, Plan};
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(
    everything_in_one_page_is_200_and_a_part_is_206,
    a_filter_takes_several_values,
    a_bad_page_is_400,
);

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect()
}

async fn everything_in_one_page_is_200_and_a_part_is_206(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 1}, "delay_s": 600});
    let mut submitted = Vec::new();
    for _ in 0..5 {
        submitted.push(client.submit(&submission).await.unwrap());
    }
    submitted.sort();

    let whole = client.get("/v1/jobs").await.unwrap();
    assert_eq!(whole.status, 200, "{}", whole.text());
    let mut listed = ids(&whole.json());
    listed.sort();
    assert_eq!(listed, submitted);

    let mut path = "/v1/jobs?limit=2".to_owned();
    let mut paged = Vec::new();
    for (number, expected_range) in ["items 0-1/*", "items 2-3/*", "items 4-4/"]
        .iter()
        .enumerate()
    {
        let page = client.get(&path).await.unwrap();
        assert_eq!(page.status, 206, "page {number}: {}", page.text());
        let range = page.header("content-range");
        assert!(range.starts_with(expected_range), "page {number}: {range}");
        paged.extend(ids(&page.json()));
        let cursor = page.json()["next_cursor"].clone();
        if number < 2 {
            assert!(page.header("link").contains("next"), "page {number}");
            path = format!("/v1/jobs?limit=2&cursor={}", cursor.as_str().unwrap());
        } else {
            assert!(cursor.is_null(), "nothing follows: {cursor}");
        }
    }
    paged.sort();
    assert_eq!(paged, submitted, "each once");
}

async fn a_filter_takes_several_values(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let later = json!({"kind": "sleep", "payload": {"ms": 1}, "delay_s": 600,
                       "metadata": {"customer": "42"}});
    let id = client.submit(&later).await.unwrap();
    let other = json!({"kind": "http", "payload": {"url": "http://127.0.0.1:1/"}, "delay_s": 600});
    client.submit(&other).await.unwrap();
    for (query, expected) in [
        ("state=queued,scheduled&kind=sleep", vec![id.clone()]),
        ("metadata.customer=42", vec![id]),
        ("state=running,failed", vec![]),
    ] {
        let page = client.get(&format!("/v1/jobs?{query}")).await.unwrap();
        assert_eq!(page.status, 200, "{query}: {}", page.text());
        assert_eq!(ids(&page.json()), expected, "{query}");
    }
}

async fn a_bad_page_is_400(mode: Mode) {
    let deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=many",
        "cursor=%21",
        "state=lost",
        "colour=red",
    ] {
        let answer = client.get(&format!("/v1/jobs?{query}")).await.unwrap();
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(
            answer.json()["errors"].is_array(),
            "{query}: {}",
            answer.text()
        );
    }
}
