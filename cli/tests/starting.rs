//! The process as an operator sees it: how it starts, refuses to start, and ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

fn coatcheck(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coatcheck"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("COATCHECK_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Runs a process that is to end by itself.
fn run(mut command: Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("it runs on: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// The exit status and the one line of a start that is refused.
fn refusal(command: Command) -> (Option<i32>, String) {
    let output = run(command);
    let status = output.status.code();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.strip_suffix('\n').unwrap().to_owned();
    assert!(!line.contains('\n'), "one line: {stderr}");
    assert!(line.starts_with("coatcheck: "), "{line}");
    (status, line)
}

/// Everything in one process, and what it said on stdout when it was up.
struct AllInOne {
    child: Child,
    greeting: Vec<String>,
    started_in: Duration,
    _folder: TempDir,
}

impl AllInOne {
    fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let mut child = coatcheck(folder.path(), &[], variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = stdout.next().expect("it starts").unwrap();
        let started_in = begun.elapsed();
        let rest = stdout.take(7).map(Result::unwrap);
        let greeting = std::iter::once(first).chain(rest).collect();
        Self {
            child,
            greeting,
            started_in,
            _folder: folder,
        }
    }

    fn curl_lines(&self) -> Vec<&str> {
        let lines = self.greeting.iter().map(|line| line.trim());
        lines.filter(|line| line.starts_with("curl ")).collect()
    }

    fn url(&self) -> &str {
        self.greeting[0].rsplit(' ').next().unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    fn wait(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        pipe.read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

impl Drop for AllInOne {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn shell(line: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new("sh")
        .args(["-c", line])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_lines_of_the_greeting_work_as_they_stand() {
    let key = ("COATCHECK_AUTH__ADMIN_KEY", "a-key-for-tests-only");
    let with_keys = [key, ("COATCHECK_AUTH__MODE", "keys")];
    for variables in [&[] as &[(&str, &str)], &with_keys] {
        let server = AllInOne::start(variables);
        let lines = server.curl_lines();
        assert_eq!(lines.len(), 3, "{:?}", server.greeting);
        let [submitted, polled, result] = [0, 1, 2].map(|line| shell(lines[line], variables));
        assert!(submitted.starts_with("HTTP/1.1 202"), "{submitted}");
        assert!(polled.starts_with("HTTP/1.1 200"), "{polled}");
        assert!(polled.contains("\"succeeded\""), "{polled}");
        assert!(result.starts_with("HTTP/1.1 200"), "{result}");
    }
}

#[test]
fn it_listens_at_once_and_ends_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = AllInOne::start(&[]);
        assert!(server.started_in < Duration::from_secs(5));
        let ready = shell(&format!("curl -sf {}/readyz", server.url()), &[]);
        assert!(!ready.is_empty());
        server.signal(signal);
        let (status, stderr) = server.wait();
        assert_eq!(status, Some(0), "{signal}: {stderr}");
        for line in stderr.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = AllInOne::start(&[]);
    let submit = server.curl_lines()[0].replace("3000", "60000");
    shell(&submit, &[]);
    std::thread::park_timeout(Duration::from_millis(500));
    let begun = Instant::now();
    server.signal(Signal::SIGTERM);
    std::thread::park_timeout(Duration::from_millis(500));
    server.signal(Signal::SIGTERM);
    let (status, stderr) = server.wait();
    assert_eq!(status, Some(130), "{stderr}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_wrong_setting_is_named_on_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value, named) in [
        ("COATCHECK_WORKER__LEASE_S", "0", "worker.lease_s is 0"),
        (
            "COATCHECK_WORKER__CONCURENCY",
            "1",
            "COATCHECK_WORKER__CONCURENCY is no setting: there are concurrency, ",
        ),
        (
            "COATCHECK_LISTEN",
            "here",
            "COATCHECK_LISTEN is \"here\": it must be an address and port such as 127.0.0.1:8080",
        ),
        (
            "COATCHECK_HTTP__ALLOW_PRIVATE",
            "perhaps",
            "COATCHECK_HTTP__ALLOW_PRIVATE is \"perhaps\": it must be true or false",
        ),
        (
            "COATCHECK_WORKER__CONCURRENCY",
            "many",
            "COATCHECK_WORKER__CONCURRENCY is \"many\": it must be a whole number",
        ),
        ("COATCHECK_AUTH__ADMIN_KEY", "short", "auth.admin_key"),
        ("COATCHECK_LOG__FILTER", "info,=,=", "log.filter"),
        ("COATCHECK_CONFIG", "/no/such.toml", "/no/such.toml"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL"),
    ] {
        let (status, line) = refusal(coatcheck(folder.path(), &[], &[(variable, value)]));
        assert_eq!(status, Some(2), "{line}");
        assert!(
            line.to_lowercase().contains(&named.to_lowercase()),
            "{named}: {line}"
        );
    }
}

#[test]
fn failure_points_are_refused_where_there_are_none_and_where_they_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let told = if cfg!(feature = "failure-points") {
        "there is no such point"
    } else {
        "this program has no failure points"
    };
    let variables = [("COATCHECK_FAILPOINTS", "store.instert.after=crash")];
    let (status, line) = refusal(coatcheck(folder.path(), &[], &variables));
    assert_eq!(status, Some(2), "{line}");
    assert!(line.contains("COATCHECK_FAILPOINTS"), "{line}");
    assert!(line.contains(told), "{line}");
}

#[test]
fn a_wrong_setting_in_a_file_is_named_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (text, named) in [
        (
            "worker.concurency = 1",
            "worker.concurency in my.toml is no setting",
        ),
        (
            "http.allow_private = 2",
            "http.allow_private in my.toml is 2: it must be true or false",
        ),
        (
            "worker.listen = \"here\"",
            "worker.listen in my.toml is \"here\": it must be an address",
        ),
        (
            "worker.lease_s = 1.5",
            "worker.lease_s in my.toml is 1.5: it must be a whole number",
        ),
        ("worker = [", "my.toml is not TOML: "),
    ] {
        std::fs::write(folder.path().join("my.toml"), text).unwrap();
        let variables = [("COATCHECK_CONFIG", "my.toml")];
        let (status, line) = refusal(coatcheck(folder.path(), &[], &variables));
        assert_eq!(status, Some(2), "{line}");
        assert!(line.contains(named), "{named}: {line}");
    }
}

#[test]
fn a_role_of_its_own_names_both_servers_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = ("DATABASE_URL", "postgres://x@127.0.0.1:1/x");
    let redis = ("REDIS_URL", "redis://127.0.0.1:1");
    for role in ["api", "worker"] {
        for variables in [&[] as &[_], &[postgres], &[redis]] {
            let (status, line) = refusal(coatcheck(folder.path(), &[role], variables));
            assert_eq!(status, Some(2), "{line}");
            assert!(
                line.contains("DATABASE_URL") && line.contains("REDIS_URL"),
                "{line}"
            );
        }
    }
}

#[test]
fn a_database_that_is_away_is_named_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("DATABASE_URL", "postgres://me:secret@127.0.0.1:1/x")];
    for arguments in [&[] as &[_], &["migrate"]] {
        let (status, line) = refusal(coatcheck(folder.path(), arguments, &variables));
        assert_eq!(status, Some(1), "{line}");
        assert!(line.contains("DATABASE_URL (127.0.0.1:1)"), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/data");
    let variables = [("COATCHECK_DATA_DIR", path.to_str().unwrap())];
    let (status, line) = refusal(coatcheck(folder.path(), &[], &variables));
    assert_eq!(status, Some(1), "{line}");
    assert!(line.contains(path.to_str().unwrap()), "{line}");
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    // Something stands in the file's place: that stops root too.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::create_dir_all(path.join("coatcheck.sqlite3")).unwrap();
    let variables = [("COATCHECK_DATA_DIR", path.to_str().unwrap())];
    let (status, line) = refusal(coatcheck(folder.path(), &[], &variables));
    assert_eq!(status, Some(1), "{line}");
    assert!(line.contains(path.to_str().unwrap()), "{line}");
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let variables = [("COATCHECK_LISTEN", address.as_str())];
    let (status, line) = refusal(coatcheck(folder.path(), &[], &variables));
    assert_eq!(status, Some(1), "{line}");
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
}

#[test]
fn migrating_the_embedded_database_twice_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(coatcheck(folder.path(), &["migrate"], &[]));
        assert_eq!(output.status.code(), Some(0));
    }
    assert!(folder.path().join("data").is_dir());
}
