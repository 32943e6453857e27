//! `coatcheck keys`, and a server that knows the keys it makes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

fn coatcheck(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coatcheck"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("COATCHECK_LISTEN", "127.0.0.1:0")
        .env("COATCHECK_AUTH__MODE", "keys")
        .env("COATCHECK_LOG__FILTER", "trace")
        .stdin(Stdio::null());
    command
}

fn keys(folder: &Path, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = std::iter::once(&"keys").chain(arguments).copied().collect();
    coatcheck(folder, &arguments).output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Makes a key; gives its secret, the only thing on stdout.
fn create(folder: &Path, arguments: &[&str]) -> String {
    let arguments: Vec<&str> = std::iter::once(&"create")
        .chain(arguments)
        .copied()
        .collect();
    let output = keys(folder, &arguments);
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let secret = stdout.strip_suffix('\n').unwrap().to_owned();
    assert!(
        secret.starts_with("cck_") && !secret.contains('\n'),
        "{stdout}"
    );
    assert!(!stderr.contains(&secret));
    secret
}

/// Everything in one process, ended when it is dropped.
struct Server {
    child: Child,
    url: String,
    log: std::path::PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let log = folder.join("log");
        let mut child = coatcheck(folder, &[])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let first = stdout.lines().next().expect("it starts").unwrap();
        let url = first.rsplit(' ').next().unwrap().to_owned();
        Self { child, url, log }
    }

    fn status(&self, path: &str, secret: &str) -> String {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"])
            .arg(format!("Authorization: Bearer {secret}"))
            .arg(format!("{}{path}", self.url))
            .output()
            .unwrap();
        text(output.stdout)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_key_is_made_used_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let before = create(folder, &["--scope", "jobs:read", "--tenant", "acme"]);
    let server = Server::start(folder);
    assert_eq!(server.status("/v1/jobs", &before), "200");
    assert_eq!(server.status("/v1/keys", &before), "403");
    let secret = create(
        folder,
        &[
            "--scope",
            "jobs:submit,jobs:read",
            "--queue",
            "mail",
            "--kind",
            "sleep,http",
            "--expires-in",
            "30d",
        ],
    );
    assert_eq!(server.status("/v1/jobs", &secret), "200", "good at once");

    let list = text(keys(folder, &["list"]).stdout);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(
        lines[1].contains("acme") && lines[1].contains("never"),
        "{list}"
    );
    let limits = "jobs:submit,jobs:read queue=mail kind=sleep,http";
    assert!(lines[2].ends_with(limits), "{list}");
    let id = lines[2].split(' ').next().unwrap();

    assert_eq!(keys(folder, &["revoke", id]).status.code(), Some(0));
    let revoked = Instant::now();
    while server.status("/v1/jobs", &secret) != "401" {
        assert!(revoked.elapsed() < Duration::from_secs(5), "still good");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(keys(folder, &["revoke", id]).status.code(), Some(1));

    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("/v1/jobs"), "the log is one of everything");
    for secret in [&before, &secret] {
        let random = secret.rsplit('_').next().unwrap();
        assert!(!log.contains(random), "a secret in the log");
        assert!(!list.contains(random), "a secret in the list");
    }
}

#[test]
fn a_server_without_any_key_starts_and_says_that_nobody_can_call() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert_eq!(server.status("/v1/jobs", "something"), "401");
    assert_eq!(server.status("/livez", "something"), "200");
    let begun = Instant::now();
    while !std::fs::read_to_string(&server.log)
        .unwrap()
        .contains("coatcheck keys create")
    {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_key_that_cannot_be_is_refused_as_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, named) in [
        (&["create"] as &[_], "--scope"),
        (&["create", "--scope", "jobs"], "jobs:submit"),
        (&["create", "--scope", "admin", "--queue", "a"], "limited"),
        (
            &["create", "--scope", "admin", "--expires-in", "0s"],
            "future",
        ),
        (&["create", "--scope", "admin", "--tenant", "A b"], "tenant"),
        (&["revoke", "1"], "1"),
    ] {
        let output = keys(folder.path(), arguments);
        let stderr = text(output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}
