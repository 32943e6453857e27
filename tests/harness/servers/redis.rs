//! A private Redis.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::with_retries;
use crate::{
    Result,
    port::free_port,
    process::{Process, find_program},
};

const START_LIMIT: Duration = Duration::from_secs(15);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const INSTALL: &str = "install Redis (Debian: apt-get install redis-server), or name a server in \
                       TEST_REDIS_URL";

/// A Redis server of one's own, which keeps nothing on disk. Gone when dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Redis {
    /// Starts it.
    ///
    /// # Errors
    /// Where Redis is not installed or does not start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("coatcheck-redis-")
            .tempdir()?;
        let (process, port) = with_retries(|| {
            let port = free_port()?;
            Ok((run(folder.path(), port)?, port))
        })?;
        Ok(Self {
            process,
            port,
            folder,
        })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`: all that it held is lost.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Sends it a signal: SIGSTOP lets it hang.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Keeps a copy of what it holds now, for [`Redis::restart_from_snapshot`].
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn keep_snapshot(&self) -> Result<()> {
        self.command(&["SAVE"]).map(drop)
    }

    /// Sends a command, its words apart; the beginning of the answer as it stands.
    ///
    /// # Errors
    /// Where it does not answer, or with an error.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let answer = exchange(self.port, request.as_bytes())?;
        match answer.strip_prefix('-') {
            Some(error) => Err(format!("{} was answered {error:?}", words[0]).into()),
            None => Ok(answer),
        }
    }

    /// Starts it again on its port with what it held at the last [`Redis::keep_snapshot`].
    ///
    /// # Errors
    /// Where it does not start.
    pub fn restart_from_snapshot(&mut self) -> Result<()> {
        self.process = run(self.folder.path(), self.port)?;
        Ok(())
    }

    /// Starts it again on its port, empty.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn restart(&mut self) -> Result<()> {
        let snapshot = self.folder.path().join("dump.rdb");
        if snapshot.exists() {
            std::fs::remove_file(snapshot)?;
        }
        self.process = run(self.folder.path(), self.port)?;
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn flush_all(&self) -> Result<()> {
        self.command(&["FLUSHALL"]).map(drop)
    }
}

/// Whether Redis can be started on this machine.
pub fn is_installed() -> bool {
    program().is_ok()
}

fn program() -> Result<PathBuf> {
    find_program("redis-server", &[], INSTALL)
}

fn run(folder: &Path, port: u16) -> Result<Process> {
    let log = folder.join("log");
    let mut command = Command::new(program()?);
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .stdout(File::create(&log)?);
    let mut process = Process::start(&mut command, Signal::SIGKILL)?;
    process
        .wait_until_ready(&log, START_LIMIT, || {
            exchange(port, b"PING\r\n").is_ok_and(|answer| answer == "+PONG\r\n")
        })
        .map_err(|error| format!("Redis {error}"))?;
    Ok(process)
}

/// The beginning of the answer to a command.
fn exchange(port: u16, command: &[u8]) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(command)?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}
