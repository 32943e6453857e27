use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    load: LoadArguments,
}

fn plan(arguments: &[&str]) -> Result<Plan, String> {
    Line::try_parse_from(std::iter::once(&"load").chain(arguments))
        .map_err(|error| error.to_string())?
        .load
        .plan()
}

#[test]
fn without_arguments_it_is_ten_seconds_of_64_callers() {
    let plan = plan(&[]).unwrap();
    assert!(matches!(plan.pace, Pace::Closed));
    assert_eq!(plan.connections, 64);
    assert_eq!(plan.limit.duration, Some(Duration::from_secs(10)));
    assert_eq!(plan.limit.jobs, None);
    assert!(matches!(plan.follow, Follow::LongPoll));
    assert_eq!(plan.submission, br#"{"kind":"sleep","payload":{"ms":0}}"#);
}

#[test]
fn durations_are_written_as_people_write_them() {
    for (text, expected) in [
        ("30s", Duration::from_secs(30)),
        ("2m", Duration::from_secs(120)),
        ("1m 30s", Duration::from_secs(90)),
        ("250ms", Duration::from_millis(250)),
    ] {
        let plan = plan(&["--duration", text]).unwrap();
        assert_eq!(plan.limit.duration, Some(expected), "{text}");
    }
    for text in ["30", "soon", "-1s", "0s"] {
        let argument = format!("--duration={text}");
        assert!(plan(&[&argument]).is_err(), "{text}");
    }
}

#[test]
fn a_number_of_jobs_alone_has_no_time_limit() {
    let plan = plan(&["--jobs", "500"]).unwrap();
    assert_eq!(plan.limit.duration, None);
    assert_eq!(plan.limit.jobs, Some(500));
}

#[test]
fn a_rate_makes_it_an_open_loop_of_256_connections() {
    let plan = plan(&["--rate", "1000"]).unwrap();
    assert!(matches!(plan.pace, Pace::Open { rate } if (rate - 1_000.0).abs() < 1e-9));
    assert_eq!(plan.connections, 256);
    for wrong in ["0", "-5", "NaN", "fast"] {
        let argument = format!("--rate={wrong}");
        assert!(super::tests::plan(&[&argument]).is_err(), "{wrong}");
    }
}

#[test]
fn queue_and_priority_go_into_the_submission() {
    let plan = plan(&["--queue", "slow", "--priority", "high"]).unwrap();
    let submission: serde_json::Value = serde_json::from_slice(&plan.submission).unwrap();
    assert_eq!(submission["queue"], "slow");
    assert_eq!(submission["priority"], "high");
}

#[test]
fn a_payload_comes_from_the_line_or_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"url": "http://x"}"#).unwrap();
    let from_file = format!("@{}", file.path().display());
    for payload in [r#"{"url": "http://x"}"#, &from_file] {
        let plan = plan(&["--kind", "http", "--payload", payload]).unwrap();
        assert_eq!(
            plan.submission,
            br#"{"kind":"http","payload":{"url":"http://x"}}"#
        );
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    for (arguments, reason) in [
        (&["--payload", "{"] as &[&str], "--payload is not JSON"),
        (&["--payload", "@/no/such"], "/no/such cannot be read"),
        (&["--kind", "http"], "--kind http needs a --payload"),
        (&["--drain"], "--drain needs --wait none"),
        (&["--url", "https://x"], "http://"),
        (&["--url", "http://x/?a=b"], "--url"),
        (&["--key", "line\nbreak"], "--key"),
        (&["--connections", "0"], "0 is not in"),
        (&["--jobs", "0"], "0 is not in"),
        (&["--wait", "forever"], "long-poll"),
        (&["--priority", "urgent"], "high"),
    ] {
        let error = plan(arguments).unwrap_err();
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}
