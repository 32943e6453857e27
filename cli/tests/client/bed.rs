//! A running Coatcheck, and the client that calls it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// What a call has left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The only line on stdout.
    pub(crate) fn line(&self) -> &str {
        let line = self.stdout.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{self:?}");
        line
    }

    pub(crate) fn ended_with(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Runs the client with a few variables and something on its stdin.
pub(crate) fn call(variables: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coatcheck"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Most commands do not read it.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Everything in one process, with a command of its own.
pub(crate) struct Coatcheck {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) folder: TempDir,
}

const SETTINGS: &str = r#"
[commands.talk]
program = "/bin/sh"
args = ["-c", "echo one >&2; sleep 0.7; echo two >&2; cat"]
content_type = "text/plain"

[commands.fail]
program = "/bin/false"

[commands.large]
program = "/bin/sh"
args = ["-c", "head -c 20000000 /dev/zero"]
"#;

impl Coatcheck {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("settings.toml"), SETTINGS).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_coatcheck"))
            .current_dir(folder.path())
            .env_clear()
            .env("COATCHECK_LISTEN", "127.0.0.1:0")
            .env("COATCHECK_CONFIG", "settings.toml")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let greeting = lines.next().expect("it starts").unwrap();
        let url = greeting.rsplit(' ').next().unwrap().to_owned();
        // It goes on writing a few lines, which must find room.
        std::thread::spawn(move || lines.count());
        Self { child, url, folder }
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Ran {
        call(&[("COATCHECK_URL", &self.url)], arguments, "")
    }

    /// A kind that is not built in is there once the worker has announced it.
    pub(crate) fn wait_for_kind(&self, kind: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let probe = self.call(&["submit", kind, "--content-type=text/plain", "probe"]);
            if probe.status == 0 {
                return;
            }
            assert!(Instant::now() < until, "{probe:?}");
        }
    }

    /// Submits a job and gives its id.
    pub(crate) fn submit(&self, arguments: &[&str]) -> String {
        let arguments = [&["submit"], arguments].concat();
        self.call(&arguments).ended_with(0).line().to_owned()
    }
}

impl Drop for Coatcheck {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
