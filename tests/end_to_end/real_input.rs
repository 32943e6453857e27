//! Real work: programs over files and payloads of many megabytes, a slow server.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use coatcheck_tests::deployment::{Mode, Plan};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::in_both_modes;

const SOON: Duration = Duration::from_secs(60);

/// The SHA-256 of [`numbers`], as another program has found it.
const DIGEST: &str = "c43a6e69396ee3fa3e0507dc8dc925c839d0f5cde46a6765e4ec9d842857db64";

in_both_modes!(
    a_program_reads_a_large_file,
    a_program_is_fed_a_large_payload,
    a_large_result_comes_back_byte_for_byte,
    a_slow_server_is_called,
);

/// 11 MB of text.
fn numbers() -> String {
    let mut text = String::new();
    for number in 0..700_000 {
        writeln!(text, "{number:015}").unwrap();
    }
    text
}

async fn a_program_reads_a_large_file(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("numbers");
    std::fs::write(&file, numbers()).unwrap();
    let deployment = Plan::new(mode)
        .config(format!(
            "[commands.checksum]\nprogram = \"/usr/bin/sha256sum\"\nargs = [{file:?}]\n\
             content_type = \"text/plain\"\n"
        ))
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "command", "payload": {"command": "checksum"}});
    let id = client.submit(&submission).await.unwrap();
    let result = client.result(&id, SOON).await.unwrap();
    assert!(result.text().starts_with(DIGEST), "{}", result.text());
    assert!(result.header("content-type").starts_with("text/plain"));
}

async fn a_program_is_fed_a_large_payload(mode: Mode) {
    let deployment = Plan::new(mode)
        .set("COATCHECK_LIMITS__BODY_BYTES", 16 << 20)
        .config("[commands.checksum]\nprogram = \"/usr/bin/sha256sum\"\n")
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission =
        json!({"kind": "command", "payload": {"command": "checksum", "input": numbers()}});
    let id = client.submit(&submission).await.unwrap();
    let result = client.result(&id, SOON).await.unwrap();
    assert!(result.text().starts_with(DIGEST), "{}", result.text());
}

async fn a_large_result_comes_back_byte_for_byte(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bytes");
    // Every byte there is, so that nothing on the way takes it for text.
    let bytes: Vec<u8> = (0..11_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let deployment = Plan::new(mode)
        .config(format!(
            "[commands.show]\nprogram = \"/bin/cat\"\nargs = [{file:?}]\n"
        ))
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "command", "payload": {"command": "show"}});
    let id = client.submit(&submission).await.unwrap();
    let result = client.result(&id, SOON).await.unwrap();
    assert_eq!(result.header("content-type"), "application/octet-stream");
    assert!(
        result.body == bytes,
        "{} bytes came back",
        result.body.len()
    );
}

async fn a_slow_server_is_called(mode: Mode) {
    let slow = Duration::from_secs(5);
    let target = TargetServer::start(slow, || 200).await;
    let deployment = Plan::new(mode)
        .set("COATCHECK_HTTP__ALLOW_PRIVATE", true)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "http", "payload": {"method": "POST", "url": target.url(),
        "headers": {"X-Sender": "coatcheck"}, "body": {"question": 6}}});
    let begun = Instant::now();
    let id = client.submit(&submission).await.unwrap();
    assert!(begun.elapsed() < slow, "accepted before the work is done");

    let result = client.result(&id, SOON).await.unwrap();
    assert!(begun.elapsed() >= slow);
    assert_eq!(result.body, TargetServer::BODY.as_bytes());
    assert_eq!(result.header("content-type"), "text/x-answer");
    let request = target.last_request();
    assert!(request.starts_with("POST "), "{request}");
    assert!(
        request.to_lowercase().contains("x-sender: coatcheck"),
        "{request}"
    );
    assert!(request.ends_with(r#"{"question":6}"#), "{request}");
}

/// An HTTP server that takes its time.
pub(crate) struct TargetServer {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    last_request: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl TargetServer {
    pub(crate) const BODY: &str = "the answer, after all";

    /// Answers each request with the status that `status` gives, after `pause`.
    pub(crate) async fn start(
        pause: Duration,
        status: impl Fn() -> u16 + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let last_request = Arc::new(Mutex::new(String::new()));
        let status = Arc::new(status);
        let (counted, kept) = (Arc::clone(&calls), Arc::clone(&last_request));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (status, kept) = (Arc::clone(&status), Arc::clone(&kept));
                tokio::spawn(async move { answer(stream, pause, status(), &kept).await });
            }
        });
        Self {
            address,
            calls,
            last_request,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/work", self.address)
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Head and body of the request that it read last.
    pub(crate) fn last_request(&self) -> String {
        self.last_request.lock().unwrap().clone()
    }
}

impl Drop for TargetServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, pause: Duration, status: u16, kept: &Mutex<String>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    while !is_complete(&request) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => request.extend_from_slice(&buffer[..length]),
        }
    }
    *kept.lock().unwrap() = String::from_utf8_lossy(&request).into_owned();
    tokio::time::sleep(pause).await;
    let body = TargetServer::BODY;
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: text/x-answer\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    // A caller that has gone away does not want the answer.
    stream.write_all(head.as_bytes()).await.ok();
    stream.write_all(body.as_bytes()).await.ok();
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    body.len() >= length
}
