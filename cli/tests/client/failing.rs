//! What goes wrong, and the exit status that tells it.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bed::{Coatcheck, call},
    scripted::{JOB, Scripted, answer},
};

#[test]
fn a_refusal_names_each_wrong_field_on_its_line() {
    let coatcheck = Coatcheck::start(&[]);
    let arguments = [
        "submit",
        "sleep",
        r#"{"ms": "x", "mz": 1}"#,
        "--metadata=a=b",
    ];
    let ran = coatcheck.call(&arguments).ended_with(2);
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert!(
        lines[0].starts_with("coatcheck: ") && lines[0].contains("400"),
        "{ran:?}"
    );
    assert!(
        lines[1..].iter().all(|line| line.starts_with("  /payload")),
        "{ran:?}"
    );
    assert_eq!(ran.stdout, "");

    let ran = coatcheck
        .call(&[&arguments[..], &["--json"]].concat())
        .ended_with(2);
    let problem = ran.json();
    assert_eq!(problem["type"], "/problems/invalid-request");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn wrong_usage_is_told_before_anything_is_sent() {
    let nowhere = [("COATCHECK_URL", "http://127.0.0.1:1")];
    for arguments in [
        &["submit", "sleep", "not json"] as &[&str],
        &["submit", "sleep", "@/no/such/file"],
        &["submit", "Bad Kind"],
        &["submit", "sleep", "--priority=urgent"],
        &["submit", "sleep", "--delay=500ms"],
        &["submit", "sleep", "--metadata=novalue"],
        &["submit", "sleep", "--wait=soon"],
        &["submit"],
        &["get"],
        &["get", "x", "-o", "file"],
        &["get", "x", "--url", "ftp://x"],
        &["cancel"],
        &["wait", "x", "--timeout=0s"],
        &["list", "--all", "--limit=3"],
        &["get", "x", "--key", "a\nb"],
    ] {
        let begun = Instant::now();
        let ran = call(&nowhere, arguments, "").ended_with(2);
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{arguments:?}");
    }
}

#[test]
fn a_key_is_needed_taken_and_never_shown() {
    let key = "a-key-for-tests-only";
    let coatcheck = Coatcheck::start(&[
        ("COATCHECK_AUTH__ADMIN_KEY", key),
        ("COATCHECK_AUTH__MODE", "keys"),
        // A server is not upset by a client's variables.
        ("COATCHECK_URL", "http://127.0.0.1:1"),
        ("COATCHECK_KEY", "another"),
    ]);
    coatcheck.call(&["list"]).ended_with(4);
    coatcheck.call(&["list", "--key=wrong"]).ended_with(4);
    coatcheck.call(&["list", "--key", key]).ended_with(0);
    let variables = [
        ("COATCHECK_URL", coatcheck.url.as_str()),
        ("COATCHECK_KEY", key),
    ];
    call(&variables, &["list"], "").ended_with(0);
    for command in ["list", "submit", "load"] {
        let help = call(&variables, &[command, "--help"], "")
            .ended_with(0)
            .stdout;
        assert!(
            help.contains("COATCHECK_KEY") && !help.contains(key),
            "{help}"
        );
    }
}

#[test]
fn a_server_that_is_away_is_told_in_seconds() {
    for arguments in [
        &["get", "x"] as &[&str],
        &["wait", "x"],
        &["list"],
        &["submit", "sleep"],
        &["cancel", "x"],
        &["retry", "x"],
        &["logs", "-f", "x"],
        &["get", "x", "--result"],
    ] {
        let begun = Instant::now();
        let ran = call(&[("COATCHECK_URL", "http://127.0.0.1:1")], arguments, "").ended_with(5);
        assert!(ran.stderr.contains("http://127.0.0.1:1: "), "{ran:?}");
        assert!(ran.stderr.contains("refused"), "{ran:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{arguments:?}");
    }
}

#[test]
fn a_server_that_comes_back_is_found() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let late = move || {
        std::thread::park_timeout(Duration::from_millis(700));
        TcpListener::bind(address).unwrap()
    };
    let server = Scripted::on(address, late, vec![answer("200 OK", "", JOB)]);
    let ran = call(&[("COATCHECK_URL", &server.url)], &["wait", "1"], "").ended_with(0);
    assert!(ran.stdout.contains("succeeded"), "{ran:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn logs_that_are_followed_outlast_an_outage() {
    let page = |text: &str| {
        format!(
            r#"{{"items":[{{"attempt":1,"logged_at":"2026-01-31T12:00:00Z","text":"{text}"}}],"next_offset":null}}"#
        )
    };
    let server = Scripted::start(vec![
        answer("200 OK", "", &page("before")),
        // Longer than a request that stands alone is tried again.
        answer("503 Service Unavailable", "retry-after: 6\r\n", ""),
        answer("200 OK", "", JOB),
        answer("200 OK", "", &page("after")),
    ]);
    let ran = call(&[("COATCHECK_URL", &server.url)], &["logs", "-f", "1"], "").ended_with(0);
    for text in ["before", "after"] {
        assert!(ran.stdout.contains(text), "{ran:?}");
    }
    assert!(server.requests()[3].contains("offset=1"));
}

#[test]
fn a_submission_is_repeated_under_the_same_key() {
    for key in [None, Some("order-42")] {
        let server = Scripted::start(vec![
            answer("503 Service Unavailable", "retry-after: 1\r\n", "{}"),
            "HTTP/1.1 202 Acc".to_owned(),
            answer("202 Accepted", "", JOB),
        ]);
        let mut arguments = vec!["submit", "sleep", r#"{"ms": 1}"#];
        if let Some(key) = key {
            arguments.extend(["--idempotency-key", key]);
        }
        let ran = call(&[("COATCHECK_URL", &server.url)], &arguments, "").ended_with(0);
        assert_eq!(ran.line(), "1");
        let keys: Vec<String> = server
            .requests()
            .iter()
            .map(|request| {
                let line = request
                    .lines()
                    .find(|line| line.starts_with("idempotency-key: "));
                line.unwrap().split(": ").nth(1).unwrap().to_owned()
            })
            .collect();
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|each| *each == keys[0]), "{keys:?}");
        assert!(key.is_none_or(|key| key == keys[0]), "{keys:?}");
        assert!(keys[0].len() >= 8);
    }
}

#[test]
fn a_retry_that_may_have_been_seen_is_not_repeated() {
    let server = Scripted::start(vec![answer("503 Service Unavailable", "", "{}")]);
    call(&[("COATCHECK_URL", &server.url)], &["retry", "1"], "").ended_with(5);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_result_that_breaks_off_is_taken_up_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\netag: \"t\"\r\n\r\n";
    let rest = answer(
        "206 Partial Content",
        "content-range: bytes 4-9/10\r\n",
        "456789",
    );
    let server = Scripted::start(vec![format!("{head}0123"), rest]);
    let url = [("COATCHECK_URL", server.url.as_str())];
    let ran = call(&url, &["get", "1", "--result"], "").ended_with(0);
    assert_eq!(ran.stdout, "0123456789");
    let second = server.requests().remove(1);
    assert!(second.contains("range: bytes=4-\r\n"), "{second}");
    assert!(second.contains("if-range: \"t\"\r\n"), "{second}");

    let another = answer("200 OK", "", "9876543210");
    let server = Scripted::start(vec![format!("{head}0123"), another]);
    let url = [("COATCHECK_URL", server.url.as_str())];
    let ran = call(&url, &["get", "1", "--result"], "").ended_with(5);
    assert_eq!(ran.stdout, "0123");
}

#[test]
fn what_is_no_coatcheck_is_told_as_such() {
    let html = "<html>";
    for (response, status) in [
        (answer("200 OK", "", html), 5),
        (answer("404 Not Found", "", html), 3),
        (answer("301 Moved", "location: https://x/\r\n", ""), 2),
    ] {
        let server = Scripted::start(vec![response]);
        let ran = call(&[("COATCHECK_URL", &server.url)], &["get", "1"], "").ended_with(status);
        let told = ran.stderr.contains("--url") || ran.stderr.contains("https://x/");
        assert!(told && ran.stderr.lines().count() == 1, "{ran:?}");
    }
}

#[test]
fn programs_get_exactly_what_the_server_has_said() {
    let odd = format!(
        "{}  ",
        JOB.replace("\"metadata\":{}", "\"metadata\" : {}, \"new\": 1e3")
    );
    let server = Scripted::start(vec![answer("200 OK", "", &odd)]);
    let ran = call(
        &[("COATCHECK_URL", &server.url)],
        &["get", "1", "--json"],
        "",
    )
    .ended_with(0);
    assert_eq!(ran.line(), odd.trim_end());
    serde_json::from_str::<Value>(&ran.stdout).unwrap();
}
