//! `coatcheck load` against Coatcheck itself.

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{bed::Coatcheck, command, report};

const SOON: Duration = Duration::from_secs(60);

fn load(server: &Coatcheck, arguments: &[&str]) -> Output {
    command(&server.url, arguments).output().unwrap()
}

fn sum(moments: &Value, field: &str) -> u64 {
    let moments = moments.as_array().unwrap().iter();
    moments.map(|moment| moment[field].as_u64().unwrap()).sum()
}

#[test]
fn every_way_of_waiting_sees_the_jobs_run_and_finish() {
    let server = Coatcheck::start(&[]);
    for wait in ["long-poll", "poll", "events", "submit"] {
        let payload = r#"{"ms": 3000}"#;
        let arguments = [
            "--jobs=8",
            "--connections=8",
            "--wait",
            wait,
            "--payload",
            payload,
        ];
        let output = load(&server, &arguments);
        let report = report(&output);
        assert!(output.status.success(), "{wait}: {report}");
        assert_eq!(report["succeeded"], 8, "{wait}: {report}");
        assert_eq!(report["wait"], wait);
        let moments = &report["timeline"];
        for field in ["accepted", "finished"] {
            assert_eq!(sum(moments, field), 8, "{wait}: {field}: {report}");
        }
        // A job that runs for seconds runs at the end of one, though events may tell of its
        // begin a second later.
        assert!(sum(moments, "running") >= 8, "{wait}: {report}");
        let last = moments.as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["running"], &last["queued"]),
            (&0.into(), &0.into()),
            "{report}"
        );
        let p50 = report["latency_ms"]["post_to_result"]["p50"].as_f64();
        assert!(p50 >= Some(3_000.0), "{wait}: {report}");
    }
}

#[test]
fn stages_lead_the_rate_up_and_down() {
    let server = Coatcheck::start(&[]);
    let output = load(&server, &["--stage=1s:60", "--stage=1s:60", "--stage=1s:0"]);
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(report["accepted"], 120, "{report}");
    assert_eq!(report["pace"], "open");
    let targets = report["timeline"].as_array().unwrap().iter().take(3);
    let targets: Vec<_> = targets
        .map(|moment| moment["target"].as_f64().unwrap())
        .collect();
    assert_eq!(targets[..2], [30.0, 60.0]);
}

#[test]
fn stages_of_connections_bring_callers_and_let_them_go() {
    let server = Coatcheck::start(&[]);
    let stages = ["--stage=1s:4c", "--stage=1s:0c"];
    let output = load(
        &server,
        &[&stages[..], &["--payload", r#"{"ms": 20}"#]].concat(),
    );
    let report = report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(report["connections"], 4);
    // Two callers on average, for two seconds, of jobs that take 20 ms at least.
    let accepted = report["accepted"].as_u64().unwrap();
    assert!((1..=200).contains(&accepted), "{report}");
}

#[test]
fn a_mix_keeps_its_proportions_and_tells_its_kinds_apart() {
    let server = Coatcheck::start(&[]);
    let mix = [
        r#"--mix=sleep=3:{"ms": 1}"#,
        r#"--mix=command=1:{"command": "fail", "input": 1}"#,
    ];
    let output = load(
        &server,
        &[&mix[..], &["--jobs=40", "--fail-if=sleep:failed>0"]].concat(),
    );
    let report = report(&output);
    assert_eq!(report["kind"], "sleep, command");
    let jobs = &report["jobs"];
    assert_eq!(
        (&jobs[0]["succeeded"], &jobs[0]["failed"]),
        (&30.into(), &0.into()),
        "{report}"
    );
    assert_eq!(
        (&jobs[1]["name"], &jobs[1]["failed"]),
        (&"command".into(), &10.into()),
        "{report}"
    );
    assert!(output.status.success(), "{report}");
}

#[test]
fn a_condition_that_holds_makes_the_exit_status_7() {
    let server = Coatcheck::start(&[]);
    let conditions = [
        "--fail-if=p99>1h",
        "--fail-if=post.max<1h",
        "--fail-if=lost>0",
    ];
    let output = load(&server, &[&["--jobs=10"], &conditions[..]].concat());
    let verdicts = report(&output)["thresholds"].clone();
    assert_eq!(output.status.code(), Some(7), "{verdicts}");
    let crossed = verdicts
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| &verdict["crossed"]);
    assert_eq!(crossed.collect::<Vec<_>>(), [&false, &true, &false]);
    assert!(verdicts[1]["value"].as_f64() > Some(0.0), "{verdicts}");
    let output = load(&server, &["--jobs=10", "--fail-if=p99>1h"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_page_is_written_and_needs_nothing_else() {
    let server = Coatcheck::start(&[]);
    let path = server.folder.path().join("load.html");
    let html = format!("--html={}", path.display());
    let output = load(
        &server,
        &["--jobs=20", "--mix=sleep=1", "--mix=sleep=1", &html],
    );
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains("Throughput") && page.contains("</html>"));
    assert!(!page.contains("://") && !page.contains("<script"));
}

/// A load test of jobs without an end, and all of them accepted.
fn begun(server: &Coatcheck, arguments: &[&str]) -> Child {
    let long = ["--connections=4", "--payload", r#"{"ms": 3600000}"#];
    let mut child = command(&server.url, &[&long[..], arguments].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while accepted(server) < 4 {
        if begun.elapsed() > SOON {
            drop(child.kill());
            panic!("{:?}", child.wait_with_output());
        }
    }
    child
}

fn accepted(server: &Coatcheck) -> usize {
    let listed = server.call(&["list", "--json"]).ended_with(0).json();
    listed["items"].as_array().unwrap().len()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, signal).unwrap();
}

fn ended(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > SOON {
            drop(child.kill());
            panic!("it hangs: {:?}", child.wait_with_output());
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_server_that_dies_gives_errors_by_cause_and_no_hang() {
    for wait in ["--wait=long-poll", "--wait=events"] {
        let server = Coatcheck::start(&[]);
        let child = begun(&server, &[wait, "--duration=2s", "--timeout=1s"]);
        drop(server);
        let output = ended(child);
        let report = report(&output);
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert_eq!(
            (&report["accepted"], &report["unfinished"]),
            (&4.into(), &4.into())
        );
        let causes: Vec<_> = report["errors"].as_object().unwrap().keys().collect();
        for cause in ["connection broken", "no connection"] {
            assert!(
                causes.iter().any(|name| name.starts_with(cause)),
                "{causes:?}"
            );
        }
    }
}

#[test]
fn a_server_that_answers_no_more_gives_timeouts_and_no_hang() {
    let server = Coatcheck::start(&[]);
    let child = begun(&server, &["--wait=poll", "--duration=2s", "--timeout=1s"]);
    signal(&server.child, Signal::SIGSTOP);
    let output = ended(child);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["unfinished"], 4);
    assert!(
        report["errors"]["no answer in time"]["count"].as_u64() >= Some(4),
        "{report}"
    );
}

#[test]
fn draining_a_server_that_dies_ends_too() {
    let server = Coatcheck::start(&[]);
    let child = begun(
        &server,
        &["--jobs=4", "--wait=none", "--drain", "--timeout=1s"],
    );
    drop(server);
    let output = ended(child);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["drained_s"], Value::Null);
}

#[test]
fn ctrl_c_writes_the_page_of_what_there_was() {
    let server = Coatcheck::start(&[]);
    let path = server.folder.path().join("load.html");
    let html = format!("--html={}", path.display());
    let child = begun(&server, &["--duration=1h", &html]);
    signal(&child, Signal::SIGINT);
    let output = ended(child);
    assert_eq!(report(&output)["interrupted"], true);
    assert!(
        std::fs::read_to_string(path)
            .unwrap()
            .contains(", interrupted.")
    );
}

#[test]
fn who_reads_no_report_is_no_error() {
    let server = Coatcheck::start(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_coatcheck"))
        .args(["load", "--jobs", "5", "--url", &server.url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = ended(child);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
