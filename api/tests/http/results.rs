//! The rows about results.

use coatcheck_shared::job::{JobId, JobResult};

use crate::{
    client::{Answer, Connection},
    service::Service,
};

const BYTES: &str = "0123456789";

async fn with_result(service: &Service, result: JobResult) -> JobId {
    let id = service.submit("").await;
    service.succeed(id, result).await;
    id
}

async fn get(service: &Service, id: JobId, head: &str) -> Answer {
    service
        .send("GET", &format!("/v1/jobs/{id}/result"), head, "")
        .await
}

#[tokio::test]
async fn a_result_is_served_byte_for_byte_and_harmless() {
    let service = Service::start().await;
    let id = with_result(&service, JobResult::new("text/html; charset=x", BYTES)).await;
    let answer = get(&service, id, "").await;
    assert_eq!((answer.status, &*answer.body), (200, BYTES.as_bytes()));
    for (name, value) in [
        ("content-type", "text/html; charset=x"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let path = format!("/v1/jobs/{id}/result");
    let head = service
        .send("HEAD", &path, "range: bytes=0-1\r\n", "")
        .await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("10"))
    );
    let tag = answer.header("etag").unwrap();
    let again = get(
        &service,
        id,
        &format!("if-none-match: {tag}\r\nrange: bytes=0-1\r\n"),
    )
    .await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn ranges_are_served_as_the_standard_says() {
    let service = Service::start().await;
    let id = with_result(&service, JobResult::new("text/plain", BYTES)).await;
    for (range, status, content_range, body) in [
        ("bytes=0-3", 206, Some("bytes 0-3/10"), "0123"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-2", 206, Some("bytes 8-9/10"), "89"),
        ("bytes=5-500", 206, Some("bytes 5-9/10"), "56789"),
        ("Bytes=0-0", 206, Some("bytes 0-0/10"), "0"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
        ("bytes=-0", 416, Some("bytes */10"), ""),
        ("bytes=4-2", 200, None, BYTES),
        ("bytes=a-b", 200, None, BYTES),
        ("lines=0-1", 200, None, BYTES),
        ("bytes=0-1,3-4", 200, None, BYTES),
    ] {
        let answer = get(&service, id, &format!("range: {range}\r\n")).await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        if status == 416 {
            assert_eq!(answer.problem(), "range-not-satisfiable");
        } else {
            assert_eq!(answer.body, body.as_bytes(), "{range}");
        }
    }
}

#[tokio::test]
async fn a_range_of_something_else_is_not_served() {
    let service = Service::start().await;
    let id = with_result(&service, JobResult::new("text/plain", BYTES)).await;
    let tag = get(&service, id, "")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    for (validator, status) in [
        (tag.clone(), 206),
        (format!("W/{tag}"), 200),
        ("\"other\"".to_owned(), 200),
        ("Tue, 15 Nov 1994 08:12:31 GMT".to_owned(), 200),
    ] {
        let head = format!("range: bytes=0-1\r\nif-range: {validator}\r\n");
        assert_eq!(get(&service, id, &head).await.status, status, "{validator}");
    }
}

#[tokio::test]
async fn large_empty_and_foreign_results() {
    let service = Service::start().await;
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|place| (place % 251) as u8)
        .collect();
    let id = with_result(
        &service,
        JobResult::new("application/x-large", large.clone()),
    )
    .await;
    let answer = get(&service, id, "").await;
    assert!(answer.body == large);
    for (range, first, last) in [
        ("262140-524300", 262_140, 524_300),
        ("262144-524287", 262_144, 524_287),
        ("0-262143", 0, 262_143),
        ("262143-262144", 262_143, 262_144),
        ("2999999-", 2_999_999, 2_999_999),
        ("-300000", 2_700_000, 2_999_999),
    ] {
        let part = get(&service, id, &format!("range: bytes={range}\r\n")).await;
        assert_eq!(part.status, 206, "{range}");
        let expected = format!("bytes {first}-{last}/3000000");
        assert_eq!(part.header("content-range"), Some(&*expected));
        assert!(part.body == large[first..=last], "{range}");
    }
    let path = format!("/v1/jobs/{id}/result");
    let mut connection = Connection::open(service.address).await;
    for _ in 0..2 {
        connection
            .send(format!("HEAD {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .await;
        let head = connection.answer(true).await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some("3000000"))
        );
    }

    let id = with_result(&service, JobResult::new("no\nheader", "")).await;
    let answer = get(&service, id, "").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(get(&service, id, "range: bytes=0-\r\n").await.status, 416);

    let mut result = JobResult::new("text/plain", "gone");
    result.status = Some(410);
    let id = with_result(&service, result).await;
    let answer = get(&service, id, "").await;
    assert_eq!((answer.status, &*answer.body), (200, b"gone".as_slice()));
    assert_eq!(answer.header("coatcheck-result-status"), Some("410"));
}

#[tokio::test]
async fn what_is_not_there_says_whether_it_will_be() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let answer = get(&service, id, "").await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (404, "result-not-ready")
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    service.fail(id).await;
    let answer = get(&service, id, "").await;
    assert_eq!((answer.status, &*answer.problem()), (404, "no-result"));
    assert_eq!(answer.header("retry-after"), None);
}
