//! A server that answers as it is told, byte for byte, and keeps what it was asked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(super) struct Target {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl Target {
    /// Answers every request with `answer`, after a pause, and closes the connection.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<[u8]> = answer.into().into();
        let heard = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let (heard, answer) = (Arc::clone(&heard), Arc::clone(&answer));
                tokio::spawn(async move {
                    let request = read_request(&mut connection).await;
                    heard.lock().unwrap().push(request);
                    tokio::time::sleep(pause).await;
                    // Whoever asked may have gone.
                    let _ = connection.write_all(&answer).await;
                    let _ = connection.shutdown().await;
                });
            }
        });
        Self {
            port,
            requests,
            accepting,
        }
    }

    /// An answer of this status line and these header lines, with a body.
    pub(super) async fn with(head: &str, body: &str) -> Self {
        let length = body.len();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        Self::answering(answer, Duration::ZERO).await
    }

    pub(super) fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/path?query=1", self.port)
    }

    /// The requests so far, in lower case: heads and bodies.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn read_request(connection: &mut TcpStream) -> String {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        // A client that speaks TLS gets its answer at once.
        if bytes
            .first()
            .is_some_and(|byte| !byte.is_ascii_alphabetic())
        {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        if connection.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}
