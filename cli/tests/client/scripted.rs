//! A server that answers by a script, whatever it is asked, and keeps what it was asked.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread::JoinHandle,
};

/// A job as the server describes it.
pub(crate) const JOB: &str = r#"{"id":"1","kind":"sleep","queue":"default","state":"succeeded","priority":"normal","attempt":1,"max_attempts":3,"created_at":"2026-01-31T12:00:00Z","run_at":"2026-01-31T12:00:00Z","started_at":null,"finished_at":null,"expires_at":null,"progress":null,"error":{"type":"error","message":"odd \u001b[2J"},"metadata":{}}"#;

/// Plays a script on an address, an answer a connection.
pub(crate) struct Scripted {
    pub(crate) url: String,
    playing: JoinHandle<Vec<String>>,
}

impl Scripted {
    pub(crate) fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener.local_addr().unwrap(), move || listener, answers)
    }

    pub(crate) fn on(
        address: SocketAddr,
        listener: impl FnOnce() -> TcpListener + Send + 'static,
        answers: Vec<String>,
    ) -> Self {
        let playing = std::thread::spawn(move || {
            let listener = listener();
            let play = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = vec![0; 64 * 1024];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).to_lowercase()
            };
            answers.into_iter().map(play).collect()
        });
        Self {
            url: format!("http://{address}"),
            playing,
        }
    }

    /// Every request, once the script is over.
    pub(crate) fn requests(self) -> Vec<String> {
        self.playing.join().unwrap()
    }
}

/// An answer after which the connection is closed.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}
