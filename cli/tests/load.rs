//! `coatcheck load` against a small server that answers as Coatcheck does, and in `real` against
//! Coatcheck itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "the client's tests use all of it")]
#[path = "client/bed.rs"]
mod bed;
#[path = "load/real.rs"]
mod real;
mod server;

use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::server::{Behaviour, Server};

fn load(server: &Server, arguments: &[&str]) -> Output {
    command(&server.url(), arguments).output().unwrap()
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coatcheck"));
    command
        .args(["load", "--json", "--url", url])
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_closed_loop_submits_so_many_jobs_and_follows_each() {
    let server = Server::start(Behaviour::default());
    for wait in ["long-poll", "poll"] {
        let output = load(
            &server,
            &[
                "--jobs",
                "300",
                "--connections",
                "8",
                "--wait",
                wait,
                "--poll-every",
                "5ms",
                "--payload",
                r#"{"ms": 20}"#,
            ],
        );
        let report = report(&output);
        assert!(output.status.success(), "{report}");
        assert_eq!(report["accepted"], 300);
        assert_eq!(report["succeeded"], 300);
        assert_eq!(report["errors"], serde_json::json!({}));
        let p50 = report["latency_ms"]["post_to_result"]["p50"].as_f64();
        assert!(p50.unwrap() >= 20.0, "{report}");
        assert!(report["latency_ms"]["post"]["p50"].as_f64() < p50);
    }
    assert_eq!(server.submitted(), 600);
    assert!(server.most_connections() <= 8);
}

#[test]
fn a_closed_loop_ends_with_its_duration() {
    let server = Server::start(Behaviour::default());
    let begun = Instant::now();
    let output = load(&server, &["--duration", "1s", "--connections", "4"]);
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(report["accepted"], server.submitted());
    assert!(server.submitted() > 100, "{report}");
}

#[test]
fn an_open_loop_keeps_its_schedule() {
    let server = Server::start(Behaviour::default());
    let output = load(&server, &["--rate", "200", "--duration", "2s"]);
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(report["accepted"], 400);
    let elapsed = report["elapsed_s"].as_f64().unwrap();
    assert!((1.9..4.0).contains(&elapsed), "{report}");
}

#[test]
fn a_stall_shows_in_every_job_that_it_made_wait() {
    let server = Server::start(Behaviour {
        stall: Some(Duration::from_secs(1)),
        ..Behaviour::default()
    });
    let output = load(
        &server,
        &["--rate=100", "--jobs=100", "--connections=1", "--wait=none"],
    );
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert!(report["late"]["jobs"].as_u64() > Some(50), "{report}");
    let post = &report["latency_ms"]["post"];
    // Half of them were due in the first half of the stall.
    assert!(post["p50"].as_f64() > Some(400.0), "{report}");
    assert!(post["max"].as_f64() >= Some(1_000.0), "{report}");
}

#[test]
fn errors_are_told_apart_and_make_the_exit_status_1() {
    let server = Server::start(Behaviour {
        refuse_every: Some(4),
        ..Behaviour::default()
    });
    let output = load(&server, &["--jobs", "40", "--connections", "2"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["accepted"], 30);
    let refused = serde_json::json!({"503": {"count": 10, "example": "The queue is full."}});
    assert_eq!(report["errors"], refused);
}

#[test]
fn draining_waits_until_no_job_is_left() {
    let server = Server::start(Behaviour::default());
    let output = load(
        &server,
        &[
            "--jobs=50",
            "--wait=none",
            "--drain",
            "--payload",
            r#"{"ms": 500}"#,
        ],
    );
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert!(report["drained_s"].as_f64() >= Some(0.5), "{report}");
    assert_eq!(report["finished"], 0);
}

#[test]
fn an_idle_connection_that_the_server_closed_costs_no_job() {
    let server = Server::start(Behaviour {
        keep_alive: Duration::from_millis(300),
        ..Behaviour::default()
    });
    let output = load(&server, &["--rate", "2", "--jobs", "4", "--wait", "none"]);
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(report["accepted"], 4);
    assert_eq!(server.submitted(), 4);
}

#[test]
fn the_key_is_sent() {
    let server = Server::start(Behaviour {
        key: Some("a-key-for-tests"),
        ..Behaviour::default()
    });
    let with = load(&server, &["--jobs", "5", "--key", "a-key-for-tests"]);
    assert!(with.status.success(), "{}", report(&with));
    let without = load(&server, &["--jobs", "5"]);
    assert_eq!(report(&without)["errors"]["401"]["count"], 5);
}

#[test]
fn ctrl_c_ends_early_and_still_prints() {
    let server = Server::start(Behaviour::default());
    let child = command(
        &server.url(),
        &["--duration", "1h", "--payload", r#"{"ms": 60000}"#],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    server.wait_until_followed(64);
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = report(&output);
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["accepted"], 64);
    assert_eq!(report["unfinished"], 64);
    assert!(output.status.success(), "{report}");
}

#[test]
fn nobody_listening_is_one_line_and_status_1() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = command(&url, &["--jobs", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&url) && stderr.contains("refused"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [&["--rate", "0"] as &[&str], &["--drain"], &["--frobnicate"]] {
        let output = command("http://127.0.0.1:1", arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_table_is_for_people() {
    let server = Server::start(Behaviour::default());
    let output = Command::new(env!("CARGO_BIN_EXE_coatcheck"))
        .args(["load", "--jobs", "20", "--url", &server.url()])
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    for part in ["accepted", "finished", "p99.9", "POST to result"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}
