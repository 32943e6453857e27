//! What each command does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    bed::{Coatcheck, call},
    scripted::{JOB, Scripted, answer},
};

#[test]
fn a_job_is_submitted_with_all_that_can_be_said_of_it() {
    let coatcheck = Coatcheck::start(&[]);
    let id = coatcheck.submit(&[
        "sleep",
        r#"{"ms": 4.0}"#,
        "--queue=slow",
        "--priority=high",
        "--delay=1h",
        "--timeout=10m",
        "--start-within=2h",
        "--deadline=1d",
        "--max-attempts=7",
        "--retain=2d",
        "--metadata=customer=42",
        "--metadata=note=a=b",
    ]);
    let job = coatcheck.call(&["get", &id, "--json"]).ended_with(0).json();
    assert_eq!(job["state"], "scheduled");
    assert_eq!(job["queue"], "slow");
    assert_eq!(job["priority"], "high");
    assert_eq!(job["max_attempts"], 7);
    assert_eq!(job["metadata"], json!({"customer": "42", "note": "a=b"}));
    let shown = coatcheck.call(&["get", &id]).ended_with(0).stdout;
    for row in [
        "state     scheduled",
        "queue     slow, high priority",
        "note=a=b",
    ] {
        assert!(shown.contains(row), "{row}: {shown}");
    }
    coatcheck.call(&["cancel", &id]).ended_with(0);
}

#[test]
fn a_payload_comes_from_the_argument_a_file_or_stdin() {
    let coatcheck = Coatcheck::start(&[]);
    let file = coatcheck.folder.path().join("payload.json");
    std::fs::write(&file, "{\"ms\": 1}\n").unwrap();
    let argument = format!("@{}", file.to_str().unwrap());
    coatcheck
        .call(&["submit", "sleep", &argument, "--wait"])
        .ended_with(0);
    let variables = [("COATCHECK_URL", coatcheck.url.as_str())];
    call(
        &variables,
        &["submit", "sleep", "-", "--wait=20s"],
        "{\"ms\": 1}",
    )
    .ended_with(0);
}

#[test]
fn waiting_ends_with_what_became_of_the_job() {
    let coatcheck = Coatcheck::start(&[]);
    let waited = coatcheck.call(&["submit", "sleep", r#"{"ms": 300}"#, "--wait", "--json"]);
    assert_eq!(waited.ended_with(0).json()["state"], "succeeded");

    let id = coatcheck.submit(&["sleep", r#"{"ms": 60000}"#]);
    let begun = Instant::now();
    let waited = coatcheck
        .call(&["wait", &id, "--timeout", "700ms"])
        .ended_with(6);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(waited.stderr.contains("still running"), "{waited:?}");
    coatcheck.call(&["cancel", &id]).ended_with(0);
    let waited = coatcheck.call(&["wait", &id]).ended_with(1);
    assert!(waited.stdout.contains("cancelled"), "{waited:?}");

    let failing = [
        "submit",
        "command",
        r#"{"command": "fail"}"#,
        "--max-attempts=1",
        "--wait",
    ];
    let waited = coatcheck.call(&failing).ended_with(1);
    assert!(waited.stdout.contains("error     error: "), "{waited:?}");
    let waited = coatcheck.call(&["submit", "sleep", r#"{"ms": 60000}"#, "--wait=1s"]);
    waited.ended_with(6);
}

#[test]
fn a_result_is_fetched_byte_for_byte() {
    let coatcheck = Coatcheck::start(&[]);
    let payload = r#"{"command": "talk", "input": "süß"}"#;
    let id = coatcheck.submit(&["command", payload]);
    let early = coatcheck.call(&["get", &id, "--result"]).ended_with(3);
    assert!(early.stderr.contains("not finished"), "{early:?}");
    coatcheck.call(&["wait", &id]).ended_with(0);
    let result = coatcheck.call(&["get", &id, "--result"]).ended_with(0);
    assert_eq!(result.stdout, "süß");

    let id = coatcheck.submit(&["command", r#"{"command": "large"}"#]);
    coatcheck.call(&["wait", &id]).ended_with(0);
    let file = coatcheck.folder.path().join("large");
    let path = file.to_str().unwrap();
    coatcheck
        .call(&["get", &id, "--result", "-o", path])
        .ended_with(0);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() == 20_000_000 && bytes.iter().all(|byte| *byte == 0));

    let no_folder = coatcheck.folder.path().join("no/file");
    let unwritable = coatcheck.call(&["get", &id, "--result", "-o", no_folder.to_str().unwrap()]);
    unwritable.ended_with(1);
}

#[test]
fn a_list_is_filtered_and_followed_to_its_end() {
    let coatcheck = Coatcheck::start(&[]);
    let ids: Vec<_> = (0..5)
        .map(|number| {
            let metadata = format!("--metadata=parity={}", number % 2);
            coatcheck.submit(&["sleep", r#"{"ms": 0}"#, "--delay=1h", &metadata])
        })
        .collect();
    let listed = |arguments: &[&str]| -> Vec<String> {
        let arguments = [&["list", "--json"], arguments].concat();
        let output = coatcheck.call(&arguments).ended_with(0).stdout;
        let pages = output
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        pages
            .flat_map(|page| page["items"].as_array().unwrap().clone())
            .map(|job| job["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&[]), newest);
    assert_eq!(listed(&["--all"]), newest);
    assert_eq!(listed(&["--limit=2"]), newest[..2]);
    let page = coatcheck.call(&["list", "--json", "--limit=2"]).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(listed(&["--cursor", cursor]), newest[2..]);
    assert_eq!(
        listed(&["--metadata=parity=1", "--state=scheduled,queued"]).len(),
        2
    );
    assert_eq!(listed(&["--state=failed"]).len(), 0);
    assert_eq!(listed(&["--kind=http"]).len(), 0);
    assert_eq!(listed(&["--queue=other"]).len(), 0);
    assert_eq!(listed(&["--created-after=1h"]).len(), 5);
    assert_eq!(listed(&["--created-before=1h"]).len(), 0);
    let table = coatcheck.call(&["list"]).ended_with(0).stdout;
    assert!(table.starts_with("ID "), "{table}");
    assert_eq!(table.lines().count(), 6);
    coatcheck.call(&["list", "--limit=0"]).ended_with(2);
    coatcheck.call(&["list", "--state=asleep"]).ended_with(2);
}

#[test]
fn each_job_is_cancelled_whatever_becomes_of_the_others() {
    let coatcheck = Coatcheck::start(&[]);
    let later = coatcheck.submit(&["sleep", r#"{"ms": 0}"#, "--delay=1h"]);
    let finished = coatcheck.submit(&["sleep", r#"{"ms": 0}"#]);
    coatcheck.call(&["wait", &finished]).ended_with(0);
    let ran = coatcheck
        .call(&["cancel", &finished, "no-such-job", &later])
        .ended_with(1);
    assert_eq!(ran.line(), format!("{later} cancelled"));
    assert_eq!(ran.stderr.lines().count(), 2, "{ran:?}");
    let again = coatcheck.call(&["cancel", "--json", &later]).ended_with(0);
    assert_eq!(again.json()["state"], "cancelled");
    coatcheck
        .call(&["cancel", "no-such-job", &finished])
        .ended_with(3);
}

#[test]
fn a_failed_job_is_run_again() {
    let coatcheck = Coatcheck::start(&[]);
    let id = coatcheck.submit(&["command", r#"{"command": "fail"}"#, "--max-attempts=1"]);
    coatcheck.call(&["wait", &id]).ended_with(1);
    let ran = coatcheck.call(&["retry", &id]).ended_with(0);
    assert_eq!(ran.line(), format!("{id} queued"));
    let waited = coatcheck.call(&["wait", &id, "--json"]).ended_with(1);
    assert_eq!(waited.json()["attempt"], 2);
    coatcheck.call(&["retry", "no-such-job"]).ended_with(3);
    let good = coatcheck.submit(&["sleep", r#"{"ms": 0}"#]);
    coatcheck.call(&["wait", &good]).ended_with(0);
    coatcheck.call(&["retry", &good]).ended_with(1);
}

#[test]
fn a_submission_under_a_key_is_one_job() {
    let coatcheck = Coatcheck::start(&[]);
    let key = "--idempotency-key=order-42";
    let id = coatcheck.submit(&["sleep", r#"{"ms": 0}"#, key]);
    assert_eq!(coatcheck.submit(&["sleep", r#"{"ms": 0}"#, key]), id);
    let other = coatcheck.call(&["submit", "sleep", r#"{"ms": 1}"#, key]);
    assert!(other.ended_with(2).stderr.contains("422"));
    assert_ne!(coatcheck.submit(&["sleep", r#"{"ms": 0}"#]), id);
}

#[test]
fn each_job_is_run_again_whatever_becomes_of_the_others() {
    let queued = JOB.replace("succeeded", "queued");
    let conflict = r#"{"title":"No","detail":"It runs.","status":409}"#;
    let server = Scripted::start(vec![
        answer("202 Accepted", "", &queued),
        answer("409 Conflict", "", conflict),
    ]);
    let ran = call(&[("COATCHECK_URL", &server.url)], &["retry", "1", "2"], "").ended_with(1);
    assert_eq!(ran.line(), "1 queued");
    assert!(ran.stderr.contains("No (409): It runs."), "{ran:?}");
    let requests = server.requests();
    assert!(
        requests[0].starts_with("post /v1/jobs/1/retry "),
        "{requests:?}"
    );
    assert!(
        requests[1].starts_with("post /v1/jobs/2/retry "),
        "{requests:?}"
    );
}

#[test]
fn logs_are_followed_until_the_job_ends() {
    let coatcheck = Coatcheck::start(&[]);
    let id = coatcheck.submit(&["command", r#"{"command": "talk", "input": ""}"#]);
    let followed = coatcheck.call(&["logs", "-f", &id]).ended_with(0).stdout;
    let texts: Vec<_> = followed
        .lines()
        .map(|line| line.rsplit("  ").next().unwrap())
        .collect();
    assert_eq!(texts, ["one", "two"], "{followed}");
    let lines = coatcheck
        .call(&["logs", &id, "--json"])
        .ended_with(0)
        .stdout;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["text"], &first["attempt"]),
        (&json!("one"), &json!(1))
    );
    coatcheck.call(&["logs", "-f", "no-such-job"]).ended_with(3);
}

#[test]
fn a_job_is_known_by_its_url_too() {
    let coatcheck = Coatcheck::start(&[]);
    let id = coatcheck.submit(&["sleep", r#"{"ms": 0}"#]);
    let url = format!("{}/v1/jobs/{id}", coatcheck.url);
    coatcheck.call(&["wait", &url]).ended_with(0);
}

#[test]
fn bytes_go_as_they_are() {
    let coatcheck = Coatcheck::start(&[]);
    let bytes: Vec<u8> = (0..=255).cycle().take(50_000).collect();
    let file = coatcheck.folder.path().join("bytes");
    std::fs::write(&file, &bytes).unwrap();
    let argument = format!("@{}", file.display());
    coatcheck.wait_for_kind("command.talk");
    let id = coatcheck.submit(&[
        "command.talk",
        &argument,
        "--content-type=image/png",
        "--queue=images",
        "--metadata=customer=4 2&3",
        "--timeout=1m",
    ]);
    coatcheck.call(&["wait", &id]).ended_with(0);
    let job = coatcheck.call(&["get", &id, "--json"]).ended_with(0).json();
    assert_eq!(job["queue"], "images");
    assert_eq!(job["metadata"]["customer"], "4 2&3");
    let result = coatcheck.folder.path().join("result");
    let output = result.to_str().unwrap();
    coatcheck
        .call(&["get", &id, "--result", "-o", output])
        .ended_with(0);
    assert_eq!(std::fs::read(result).unwrap(), bytes);
}
