//! Secrets stay where they belong: canaries are put wherever a secret can be, and looked for
//! wherever one must not show, at the level `debug` too.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use coatcheck_tests::{
    client::{Answer, Client},
    deployment::{Deployment, Mode, Plan},
    http_get::http_get,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{in_both_modes, stub::Stub};

const SOON: Duration = Duration::from_secs(20);

/// What every canary begins with.
const CANARY: &str = "canary7f3a";

const ADMIN: &str = "canary7f3a-admin-key-of-the-operator";

in_both_modes!(no_secret_shows_in_logs_metrics_traces_redis_or_errors);

/// What everyone says to a Redis, from now on.
struct Monitor(Arc<Mutex<Vec<u8>>>);

impl Monitor {
    fn of(url: &str) -> Self {
        let address = url.rsplit(['@', '/']).next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = said.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                kept.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self(said)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

async fn start(mode: Mode, collector: &Stub) -> Deployment {
    Plan::new(mode)
        .own_redis()
        .password("canary7f3a-password")
        .config(
            "[commands.echo]\nprogram = \"/bin/cat\"\nenv = { TOKEN = \"canary7f3a-env\" }\n\
             [commands.broken]\nprogram = \"/bin/false\"\nargs = [\"canary7f3a-argument\"]\n",
        )
        .set("COATCHECK_AUTH__MODE", "keys")
        .set("COATCHECK_AUTH__ADMIN_KEY", ADMIN)
        .set("COATCHECK_HTTP__ALLOW_PRIVATE", "true")
        .set("COATCHECK_LOG__FILTER", "debug")
        .set("COATCHECK_LOG__FORMAT", "json")
        .set(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://me:canary7f3a-collector@{}", collector.address),
        )
        .start()
        .await
        .unwrap()
}

/// Sends a request with the operator's key and a cookie.
async fn send(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let mut request = client
        .request(method, path)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("cookie", "session=canary7f3a-cookie");
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    client.send(request).await.unwrap()
}

/// Hands in a job and waits for its end.
async fn run(client: &Client, job: Value) {
    let answer = send(client, Method::POST, "/v1/jobs", Some(&job)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let path = format!("/v1/jobs/{}", answer.json()["id"].as_str().unwrap());
    let began = std::time::Instant::now();
    loop {
        let job = send(client, Method::GET, &path, None).await.json();
        if ["succeeded", "failed"].contains(&job["state"].as_str().unwrap()) {
            return;
        }
        assert!(began.elapsed() < SOON, "{job}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Jobs that carry secrets, and succeed or fail.
async fn work(client: &Client, target: &Stub) {
    let url = format!(
        "http://me:canary7f3a-userinfo@{}/canary7f3a-path?token=canary7f3a-query",
        target.address
    );
    let secret_headers =
        json!({"Authorization": "Bearer canary7f3a-header", "Cookie": "canary7f3a"});
    run(
        client,
        json!({"kind": "http", "payload": {
        "method": "POST", "url": url, "headers": secret_headers, "body": {"n": "canary7f3a-body"}},
        "metadata": {"customer": "canary7f3a-metadata"}}),
    )
    .await;
    // Nobody listens there.
    run(client, json!({"kind": "http", "max_attempts": 1, "payload": {
        "method": "GET", "url": "http://me:canary7f3a@127.0.0.1:1/canary7f3a?canary7f3a", "headers": secret_headers}}))
    .await;
    run(
        client,
        json!({"kind": "command",
        "payload": {"command": "echo", "input": "canary7f3a-input, and so its result"}}),
    )
    .await;
    run(
        client,
        json!({"kind": "command", "max_attempts": 1,
        "payload": {"command": "broken", "input": "canary7f3a-input"}}),
    )
    .await;
}

/// Requests that are refused, with secrets in them. What the answers say.
async fn mistakes(client: &Client) -> Vec<Answer> {
    let mut answers = Vec::new();
    for body in [
        json!({"kind": "sleep", "payload": {"ms": "canary7f3a-payload"}}),
        json!({"kind": "http", "payload": {"method": "canary7f3a payload", "url": 7}}),
        json!({"kind": "http", "payload": {"method": "GET", "url": "x", "headers": "canary7f3a"}}),
        json!({"kind": "command", "payload": {"command": ["canary7f3a"]}}),
    ] {
        let answer = send(client, Method::POST, "/v1/jobs", Some(&body)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        answers.push(answer);
    }
    for (path, authorization) in [
        ("/v1/jobs", "Bearer canary7f3a-wrong-key"),
        ("/v1/jobs", "Basic canary7f3a"),
        ("/v1/none?token=canary7f3a", "Bearer canary7f3a"),
        ("/v1/jobs?token=canary7f3a", "Bearer canary7f3a"),
    ] {
        let request = client
            .request(Method::GET, path)
            .header("authorization", authorization);
        answers.push(client.send(request).await.unwrap());
    }
    answers
}

async fn no_secret_shows_in_logs_metrics_traces_redis_or_errors(mode: Mode) {
    let collector = Stub::answering("").await;
    let target = Stub::answering("canary7f3a-result").await;
    let mut deployment = start(mode, &collector).await;
    let monitor = deployment
        .environment()
        .get("REDIS_URL")
        .map(|url| Monitor::of(url));
    let client = deployment.client().unwrap();

    let new_key = json!({"tenant": "a", "scopes": ["jobs:read"]});
    let made = send(&client, Method::POST, "/v1/keys", Some(&new_key)).await;
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let shown = client
        .request(Method::GET, "/v1/jobs")
        .header("authorization", format!("Bearer {secret}"));
    assert_eq!(client.send(shown).await.unwrap().status, 200);
    work(&client, &target).await;
    let refused = mistakes(&client).await;
    assert_eq!(target.received().len(), 1);

    let metrics = send(&client, Method::GET, "/metrics", None).await.text();
    assert!(
        metrics.contains("coatcheck_jobs_submitted_total"),
        "{metrics}"
    );
    let mut seen = vec![("the API's metrics".to_owned(), metrics)];
    for answer in refused {
        let headers = format!("{:?}", answer.headers);
        seen.push((
            format!("an answer {}", answer.status),
            headers + &answer.text(),
        ));
    }
    if mode == Mode::Distributed {
        let worker = deployment.workers()[0].address();
        let page = http_get(worker, "/metrics").unwrap().1;
        seen.push(("the worker's metrics".to_owned(), page));
        let said = monitor.unwrap().text();
        assert!(said.contains("BLMPOP"), "{said}");
        seen.push(("Redis".to_owned(), said));
    }
    for process in [deployment.apis()[0].log(), deployment.workers()[0].log()] {
        let log = process.unwrap();
        assert!(log.contains("\"level\":\"DEBUG\""), "{log}");
        for line in log.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        }
        seen.push(("a log".to_owned(), log));
    }
    // The last spans are sent as the processes end.
    deployment.workers()[0].terminate().unwrap();
    deployment.workers()[0].wait(SOON).unwrap();
    if mode == Mode::Distributed {
        deployment.apis()[0].terminate().unwrap();
        deployment.apis()[0].wait(SOON).unwrap();
    }
    let spans = collector.received();
    assert!(!spans.is_empty());
    for span in spans {
        let text = String::from_utf8_lossy(&span.body).into_owned();
        seen.push(("a trace".to_owned(), text));
    }
    for (place, text) in seen {
        for canary in [CANARY, &secret] {
            let found = text.lines().find(|line| line.contains(canary));
            assert_eq!(found, None, "in {place}");
        }
    }
}
