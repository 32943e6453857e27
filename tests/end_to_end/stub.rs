//! An HTTP server as small as it can be: it keeps what it was sent and answers 200.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// A header field, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The server; it ends when it is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    serving: JoinHandle<()>,
}

impl Stub {
    /// Answers everyone with this body.
    pub(crate) async fn answering(body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone(), body));
            }
        });
        Self {
            address,
            received,
            serving,
        }
    }

    /// All that has come so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves a connection to its end.
async fn serve(mut stream: TcpStream, kept: Arc<Mutex<Vec<Received>>>, body: &str) -> Option<()> {
    let mut unread = Vec::new();
    loop {
        let request = next_request(&mut stream, &mut unread).await?;
        kept.lock().unwrap().push(request);
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// None where the connection ends before.
async fn next_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        if let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    };
    let mut request = Received {
        head: String::from_utf8_lossy(&unread[..end]).into_owned(),
        body: Vec::new(),
    };
    let length: usize = request
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while unread.len() < end + length {
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
    let rest = unread.split_off(end + length);
    request.body = unread.split_off(end);
    *unread = rest;
    Some(request)
}
