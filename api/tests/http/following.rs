//! The rows about answers that go on until a job has ended: events, and logs that are followed.

use std::time::{Duration, Instant};

use coatcheck_api::Server;
use coatcheck_shared::{
    clock::Clock,
    job::{Failure, JobId, JobResult, Outcome, Progress, failure::FailureType},
    settings::load_from,
    store::{LogLine, ProgressReport},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Connection,
    service::{Running, Service},
};

/// Longer than a lost signal goes unnoticed.
const SOON: Duration = Duration::from_secs(5);

/// An answer in chunks, read as it comes.
struct Stream {
    connection: Connection,
    head: String,
    unread: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Stream {
    async fn open(address: std::net::SocketAddr, target: &str, head: &str) -> Self {
        let mut connection = Connection::open(address).await;
        connection
            .send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n{head}\r\n"))
            .await;
        let head = connection.answer_head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert!(head.contains("x-accel-buffering: no"), "{head}");
        Self {
            connection,
            head,
            unread: String::new(),
        }
    }

    async fn events(service: &Service, id: JobId, last: Option<&str>) -> Self {
        let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        let stream = Self::open(service.address, &format!("/v1/jobs/{id}/events"), &last).await;
        assert!(stream.head.contains("content-type: text/event-stream\r\n"));
        stream
    }

    /// What comes up to and with `end`; none where the answer ends, as it should, before.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(place) = self.unread.find(end) {
                let rest = self.unread.split_off(place + end.len());
                return Some(std::mem::replace(&mut self.unread, rest));
            }
            let chunk = timeout(SOON, self.chunk()).await.unwrap();
            if chunk.is_empty() {
                assert_eq!(self.unread, "");
                return None;
            }
            self.unread.push_str(&chunk);
        }
    }

    async fn chunk(&mut self) -> String {
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(self.connection.stream.read_u8().await.unwrap().into());
        }
        let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).unwrap() + 2];
        self.connection.stream.read_exact(&mut chunk).await.unwrap();
        chunk.truncate(chunk.len() - 2);
        String::from_utf8(chunk).unwrap()
    }

    async fn event(&mut self) -> Option<Event> {
        loop {
            let text = self.until("\n\n").await?;
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.map(|value| value.trim().to_owned())
            };
            if let Some(data) = field("data:") {
                return Some(Event {
                    name: field("event:").unwrap(),
                    id: field("id:").unwrap(),
                    data: serde_json::from_str(&data).unwrap(),
                });
            }
        }
    }

    async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }
}

async fn log(service: &Service, running: &Running, sequence: u32, text: &str) {
    let line = LogLine {
        job: running.id,
        attempt: running.attempt,
        started_at: running.started_at,
        sequence,
        logged_at: service.backend.clock.now(),
        text: text.to_owned(),
    };
    service.backend.store.append_logs(&[line]).await.unwrap();
}

async fn progress(service: &Service, running: &Running, percent: f32) {
    let report = ProgressReport {
        id: running.id,
        attempt: running.attempt,
        lease: running.lease,
        progress: Progress {
            percent,
            message: Some("so far".to_owned()),
        },
    };
    let store = &service.backend.store;
    store.record_progress(&[report]).await.unwrap();
}

async fn succeed(service: &Service, running: &Running) {
    let outcome = Outcome::Succeeded(JobResult::new("text/plain", "done"));
    service.finish(running, outcome).await;
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.name).collect()
}

#[tokio::test]
async fn events_tell_what_becomes_of_a_job_until_it_has_ended() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let mut stream = Stream::events(&service, id, None).await;
    let first = stream.event().await.unwrap();
    assert_eq!(first.name, "state");
    let expected = json!({"state": "queued", "attempt": 0, "max_attempts": 3, "error": null});
    assert_eq!(first.data, expected);

    let running = service.claim(id).await;
    let event = stream.event().await.unwrap();
    assert_eq!(
        (&*event.name, &event.data["state"]),
        ("state", &json!("running"))
    );
    assert_eq!(event.data["attempt"], 1);

    log(&service, &running, 0, "a line: with\ta tab").await;
    let event = stream.event().await.unwrap();
    assert_eq!(
        (&*event.name, &event.data["text"]),
        ("log", &json!("a line: with\ta tab"))
    );
    progress(&service, &running, 40.5).await;
    let event = stream.event().await.unwrap();
    let expected = json!({"attempt": 1, "percent": 40.5, "message": "so far"});
    assert_eq!((&*event.name, event.data), ("progress", expected));

    log(&service, &running, 1, "the last line").await;
    let ended = Instant::now();
    succeed(&service, &running).await;
    let rest = stream.rest().await;
    assert!(
        ended.elapsed() < Duration::from_millis(900),
        "the signal wakes"
    );
    assert_eq!(names(&rest), ["log", "state"]);
    assert_eq!(rest[1].data["state"], "succeeded");
}

#[tokio::test]
async fn a_client_goes_on_where_it_was_at_another_server() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let running = service.claim(id).await;
    for sequence in 0..250 {
        log(&service, &running, sequence, &format!("line {sequence}")).await;
    }
    progress(&service, &running, 10.0).await;
    let mut stream = Stream::events(&service, id, None).await;
    let mut events = Vec::new();
    for _ in 0..130 {
        events.push(stream.event().await.unwrap());
    }
    drop(stream);

    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let mut settings = load_from("").unwrap();
    settings.listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(service.backend.clone(), &settings, metrics).unwrap();
    let (address, shutdown) = (server.address(), CancellationToken::new());
    let another = tokio::spawn(server.run(shutdown.clone()));
    let last = format!("last-event-id: {}\r\n", events[129].id);
    let mut stream = Stream::open(address, &format!("/v1/jobs/{id}/events"), &last).await;
    while events.len() < 252 {
        events.push(stream.event().await.unwrap());
    }
    let failure = Failure::new(FailureType::Error, "out of order");
    service.finish(&running, Outcome::Failed(failure)).await;
    events.extend(stream.rest().await);

    let count = |name: &str| events.iter().filter(|event| event.name == name).count();
    assert_eq!(
        (count("state"), count("log"), count("progress")),
        (2, 250, 1)
    );
    let lines: Vec<&Value> = events
        .iter()
        .filter(|event| event.name == "log")
        .map(|event| &event.data["sequence"])
        .collect();
    assert!(
        lines
            .iter()
            .enumerate()
            .all(|(place, line)| **line == place)
    );
    let end = events.last().unwrap();
    assert_eq!(
        (&end.data["state"], &end.data["error"]["message"]),
        (&json!("failed"), &json!("out of order"))
    );
    shutdown.cancel();
    another.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_ended_job_is_told_once() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let running = service.claim(id).await;
    log(&service, &running, 0, "said").await;
    progress(&service, &running, 50.0).await;
    succeed(&service, &running).await;
    let events = Stream::events(&service, id, None).await.rest().await;
    assert_eq!(names(&events), ["log", "state"]);
    assert_eq!(events[1].data["state"], "succeeded");

    let path = format!("/v1/jobs/{id}/events");
    let last = format!("last-event-id: {}\r\n", events[1].id);
    let answer = service.send("GET", &path, &last, "").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let events = Stream::events(&service, id, Some("not ours")).await;
    assert_eq!({ events }.rest().await.len(), 2, "from the beginning");
}

#[tokio::test]
async fn an_end_without_a_signal_is_seen_all_the_same() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let running = service.claim(id).await;
    let mut stream = Stream::events(&service, id, None).await;
    assert_eq!(stream.event().await.unwrap().data["state"], "running");
    let outcome = Outcome::Succeeded(JobResult::new("text/plain", ""));
    let finish = running.finish(&service, outcome);
    service.backend.store.finish(vec![finish]).await.unwrap();
    assert_eq!(stream.rest().await[0].data["state"], "succeeded");
}

#[tokio::test]
async fn a_server_that_goes_ends_its_streams_properly() {
    let mut service = Service::start().await;
    let id = service.submit("").await;
    let mut events = Stream::events(&service, id, None).await;
    events.event().await.unwrap();
    let path = format!("/v1/jobs/{id}/logs?follow=true");
    let mut lines = Stream::open(service.address, &path, "").await;
    let began = Instant::now();
    service.shutdown.cancel();
    assert_eq!(events.event().await, None);
    assert_eq!(lines.until("\n").await, None);
    let running = service.running.take().unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() < SOON);
}

#[tokio::test]
async fn a_followed_log_is_sent_line_by_line() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let path = format!("/v1/jobs/{id}/logs?follow=true");
    let mut stream = Stream::open(service.address, &format!("{path}&offset=1"), "").await;
    assert!(
        stream
            .head
            .contains("content-type: application/x-ndjson\r\n")
    );
    let running = service.claim(id).await;
    for (sequence, text) in ["skipped", "one", "two"].iter().enumerate() {
        log(&service, &running, sequence as u32, text).await;
    }
    for text in ["one", "two"] {
        let line: Value = serde_json::from_str(&stream.until("\n").await.unwrap()).unwrap();
        assert_eq!((&line["text"], &line["attempt"]), (&json!(text), &json!(1)));
    }
    log(&service, &running, 3, "three").await;
    succeed(&service, &running).await;
    assert!(stream.until("\n").await.unwrap().contains("\"three\""));
    assert_eq!(stream.until("\n").await, None);

    for (query, pointer) in [("follow=yes", "/follow"), ("follow=true&limit=5", "/limit")] {
        let answer = service.get(&format!("/v1/jobs/{id}/logs?{query}")).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-parameter")
        );
        assert_eq!(answer.pointers(), [pointer]);
    }
}

#[tokio::test]
async fn what_cannot_be_followed_says_why() {
    let service = Service::start().await;
    let id = service.submit("").await;
    let (foreign, none) = (
        service.job_of_another().await,
        "0198c1a0-0000-7000-8000-000000000000",
    );
    for path in ["events", "logs?follow=true"] {
        for unknown in [foreign.to_string(), none.to_owned(), "x".to_owned()] {
            let answer = service.get(&format!("/v1/jobs/{unknown}/{path}")).await;
            assert_eq!((answer.status, &*answer.problem()), (404, "job-not-found"));
        }
        let target = format!("/v1/jobs/{id}/{path}");
        let head = service.send("HEAD", &target, "", "").await;
        assert_eq!(
            (head.status, head.header("cache-control")),
            (200, Some("no-store"))
        );
    }
    let answer = service
        .send("POST", &format!("/v1/jobs/{id}/events"), "", "")
        .await;
    assert_eq!(
        (answer.status, &*answer.problem()),
        (405, "method-not-allowed")
    );
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
}
