//! A client that sends what it is told, byte for byte, and hides nothing of the answer.

use std::{net::SocketAddr, sync::LazyLock};

use coatcheck_tests::document::{Document, Exchange};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn with_head(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        Self {
            status: lines.next().unwrap()[9..12].parse().unwrap(),
            headers: lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        }
    }

    /// A header field, which must be there once at most.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(each, _)| each == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The name of the problem, the whole answer having been checked as one.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["instance"], self.header("x-request-id").unwrap());
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        let path = problem["type"].as_str().unwrap();
        path.strip_prefix("/problems/").unwrap().to_owned()
    }

    /// The pointers of the wrong fields, sorted.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().unwrap();
        let mut pointers: Vec<String> = errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect();
        pointers.sort();
        pointers
    }
}

static DOCUMENT: LazyLock<Document> =
    LazyLock::new(|| Document::new(coatcheck_api::document()).unwrap());

/// A connection. Every answer on it is held against the document.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// What has been sent and not been answered.
    sent: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            sent: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.sent.extend_from_slice(bytes.as_ref());
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads one answer; `to_head` where it answers a HEAD and so has no body.
    pub(crate) async fn answer(&mut self, to_head: bool) -> Answer {
        let mut answer = Answer::with_head(&self.read_head().await);
        if !to_head && answer.status != 204 && answer.status != 304 {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).await.unwrap();
        }
        self.check(&answer, Some(&answer.body));
        answer
    }

    /// Reads the head of an answer whose body, if any, is read as it comes.
    pub(crate) async fn answer_head(&mut self) -> String {
        let head = self.read_head().await;
        let answer = Answer::with_head(&head);
        if answer.status >= 200 {
            self.check(&answer, None);
        }
        head
    }

    async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    fn check(&mut self, answer: &Answer, body: Option<&[u8]>) {
        let request = self.answered_request();
        let exchange = Exchange {
            request: request
                .as_ref()
                .map(|(method, target)| (&**method, &**target)),
            status: answer.status,
            headers: &answer.headers,
            body,
        };
        if let Err(error) = DOCUMENT.check(&exchange) {
            panic!("{error}");
        }
    }

    /// The method and target of the request that an answer is to, which was sent first; none where
    /// it cannot be told from what has been sent.
    fn answered_request(&mut self) -> Option<(String, String)> {
        let sent = std::mem::take(&mut self.sent);
        let text = String::from_utf8_lossy(&sent);
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        if !head.to_lowercase().contains("transfer-encoding") {
            let body = rest.len().min(length.unwrap_or(0));
            self.sent = rest.as_bytes()[body..].to_vec();
        }
        let mut parts = head.lines().next()?.split(' ');
        let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
        let is_whole = parts.next().is_none() && version.starts_with("HTTP/1.");
        is_whole.then(|| (method.to_owned(), target.to_owned()))
    }

    /// Whether the server has closed the connection, as far as can be read.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        tokio::time::timeout(std::time::Duration::from_secs(10), read)
            .await
            .is_ok()
            && rest.is_empty()
    }
}
