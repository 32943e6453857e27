//! A Redis for tests.

use std::{net::TcpListener, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{clock::SystemClock, job::JobId, settings::RedisSettings};

/// A private Redis that a test can stop, kill and start again. It ends with the test.
pub(crate) struct TestServer {
    folder: TempDir,
    arguments: Vec<String>,
    port: u16,
    process: Child,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        // Another process may take a free port before the server does.
        for _ in 0..20 {
            let port = free_port();
            if let Some(process) = launch(&folder, &arguments, port).await {
                return Self {
                    folder,
                    arguments,
                    port,
                    process,
                };
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts it again, empty, at the same address.
    pub(crate) async fn start_again(&mut self) {
        for _ in 0..50 {
            if let Some(process) = launch(&self.folder, &self.arguments, self.port).await {
                self.process = process;
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("redis-server does not start again on port {}", self.port);
    }

    /// Leaves it running and reachable, but silent.
    pub(crate) fn hang(&self) {
        self.send(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.send(Signal::SIGCONT);
    }

    fn send(&self, signal: Signal) {
        let id = self.process.id().unwrap();
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }
}

/// The address of the Redis that `TEST_REDIS_URL` names, else of a private one, which lives as
/// long as what comes with it.
pub(crate) async fn any() -> (String, Option<TestServer>) {
    // For rediss://. Another test may have done it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match std::env::var("TEST_REDIS_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = TestServer::start().await;
            (server.url(), Some(server))
        }
    }
}

/// Settings with a prefix that no other test has.
pub(crate) fn settings(deadline: Duration) -> RedisSettings {
    RedisSettings {
        prefix: format!("test:{}", JobId::generate(&SystemClock)),
        deadline_s: deadline.as_secs_f64(),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that answers; none where it ended at once, the port being taken.
async fn launch(folder: &TempDir, arguments: &[String], port: u16) -> Option<Child> {
    let mut process = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("redis-server cannot be run ({error}): install redis-server 7.0 or newer")
        });
    timeout(Duration::from_secs(20), async {
        loop {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            if answers(port).await {
                return Some(process);
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("redis-server answers within 20 s")
}

/// Whether something says anything: a Redis that wants a password refuses, and is up.
async fn answers(port: u16) -> bool {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
        return false;
    };
    let answer = redis::cmd("PING").query_async::<()>(&mut connection).await;
    answer.map_or_else(|error| error.code() == Some("NOAUTH"), |()| true)
}
