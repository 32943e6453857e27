use clap::Parser;

use std::time::Duration;

use super::*;
use crate::load::plan::{Follow, Pace};

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
    assert!(matches!(plan.pace, Pace::Closed { .. }));
    assert_eq!(plan.connections, 64);
    assert_eq!(plan.limit.duration, Some(Duration::from_secs(10)));
    assert_eq!(plan.limit.jobs, None);
    assert!(matches!(plan.follow, Follow::LongPoll));
    assert_eq!(
        plan.mix.parts[0].submission,
        r#"{"kind":"sleep","payload":{"ms":0}}"#
    );
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
    assert!(matches!(&plan.pace, Pace::Open { rate } if rate.steady() == Some(1_000.0)));
    assert_eq!(plan.connections, 256);
    for wrong in ["0", "-5", "NaN", "fast"] {
        let argument = format!("--rate={wrong}");
        assert!(super::tests::plan(&[&argument]).is_err(), "{wrong}");
    }
}

#[test]
fn queue_and_priority_go_into_the_submission() {
    let plan = plan(&["--queue", "slow", "--priority", "high"]).unwrap();
    let submission: serde_json::Value =
        serde_json::from_slice(&plan.mix.parts[0].submission).unwrap();
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
            plan.mix.parts[0].submission,
            r#"{"kind":"http","payload":{"url":"http://x"}}"#
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
        (&["--url", "there"], "it must be http://HOST[:PORT]"),
        (&["--stage", "30s"], "a stage is TIME:N"),
        (&["--stage", "30s:0"], "ask for no job"),
        (
            &["--stage", "30s:5", "--duration", "1m"],
            "the stages say already",
        ),
        (&["--stage", "30s:5c", "--rate", "5"], "of a closed one"),
        (
            &["--stage", "30s:5c", "--stage", "30s:5"],
            "cannot both be staged",
        ),
        (&["--mix", "sleep"], "it has no weight"),
        (
            &["--mix", "sleep=1", "--kind", "sleep"],
            "--mix has kinds and payloads of its own",
        ),
        (&["--fail-if", "p99"], "it compares nothing"),
        (&["--fail-if", "http:p99>1s"], "there is sleep"),
        (
            &["--fail-if", "lost>0", "--wait", "none"],
            "nobody could tell",
        ),
        (&["--scenario", "/no/such"], "/no/such cannot be read"),
    ] {
        let error = plan(arguments).unwrap_err();
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

#[test]
fn stages_of_a_rate_are_an_open_loop_that_ends_with_them() {
    let plan = plan(&["--rate=100", "--stage=10s:100", "--stage=20s:0"]).unwrap();
    let Pace::Open { rate } = &plan.pace else {
        panic!("{:?}", plan.pace);
    };
    assert_eq!(plan.limit.duration, Some(Duration::from_secs(30)));
    assert_eq!(plan.limit.jobs_at(rate), 2_000);
    assert_eq!(plan.connections, 256);
}

#[test]
fn stages_of_connections_are_a_closed_loop_of_as_many_as_the_highest() {
    let plan = plan(&["--stage=10s:8c", "--stage=20s:32c", "--stage=5s:0c"]).unwrap();
    let Pace::Closed { callers } = &plan.pace else {
        panic!("{:?}", plan.pace);
    };
    assert_eq!(plan.connections, 32);
    assert!((callers.value_at(Duration::from_secs(20)) - 20.0).abs() < 1e-9);
    assert_eq!(plan.limit.duration, Some(Duration::from_secs(35)));
}

#[test]
fn the_command_line_goes_before_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body.json"), r#"{"url": "http://x"}"#).unwrap();
    let scenario = folder.path().join("scenario.toml");
    let text = r#"
        url = "http://there:81"
        rate = 50
        duration = "1m"
        wait = "events"
        queue = "slow"
        fail_if = ["webhook:p99>2s"]
        [[job]]
        kind = "sleep"
        weight = 3
        payload = { ms = 10 }
        [[job]]
        name = "webhook"
        kind = "http"
        priority = "low"
        payload = "@body.json"
    "#;
    std::fs::write(&scenario, text).unwrap();
    let scenario = format!("--scenario={}", scenario.display());
    let plan = super::tests::plan(&[&scenario, "--duration=5s"]).unwrap();
    assert_eq!(plan.limit.duration, Some(Duration::from_secs(5)));
    assert!(matches!(&plan.pace, Pace::Open { rate } if rate.steady() == Some(50.0)));
    assert!(matches!(plan.follow, Follow::Events));
    assert_eq!(plan.target.port, 81);
    assert_eq!(plan.thresholds.len(), 1);
    let parts: Vec<_> = plan.mix.parts.iter().collect();
    assert_eq!((parts[0].name.as_str(), parts[0].weight), ("sleep", 3));
    assert_eq!((parts[1].name.as_str(), parts[1].weight), ("webhook", 1));
    assert_eq!(
        parts[1].submission,
        r#"{"kind":"http","payload":{"url":"http://x"},"priority":"low","queue":"slow"}"#
    );
    let error = super::tests::plan(&[&scenario, "--kind=sleep"]).unwrap_err();
    assert!(error.contains("no job has the name webhook"), "{error}");
}

#[test]
fn no_line_of_the_help_is_wider_than_a_terminal() {
    let help = <Line as clap::CommandFactory>::command()
        .term_width(80)
        .render_long_help()
        .to_string();
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
