use coatcheck_shared::job::State;

use super::*;
use crate::load::{
    client::Failure,
    plan::{Limit, Target},
};

fn plan(pace: Pace, follow: Follow) -> Plan {
    Plan {
        target: Target::new(&"http://localhost".parse().unwrap(), None).unwrap(),
        submission: Vec::new(),
        kind: "sleep".to_owned(),
        connections: 64,
        pace,
        limit: Limit {
            duration: None,
            jobs: Some(10),
        },
        follow,
        settle: Duration::from_secs(90),
        timeout: Duration::from_secs(1),
    }
}

/// Ten jobs accepted in the second second, eight seen to succeed by the fourth.
fn measured(start: Instant) -> Measurements {
    let mut measured = Measurements::new(start);
    for number in 0..10 {
        measured.accepted(start);
        if number < 8 {
            measured.finished(start, State::Succeeded);
        }
    }
    measured.last_answer = Some(start + Duration::from_secs(2));
    measured.last_finish = Some(start + Duration::from_secs(4));
    measured
}

#[test]
fn rates_count_to_the_last_answer_and_the_last_finish() {
    let start = Instant::now();
    let end = start + Duration::from_secs(10);
    let plan = plan(Pace::Closed, Follow::LongPoll);
    let report = Report::new(&plan, &measured(start), Ending::Interrupted, end);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["accepted_per_s"], 5.0);
    assert_eq!(json["finished_per_s"], 2.0);
    assert_eq!(json["unfinished"], 2);
    assert_eq!(json["elapsed_s"], 10.0);
    assert_eq!(json["interrupted"], true);
    assert_eq!(json["late"], serde_json::Value::Null);
    assert!(report.is_clean(), "ending early is no error");
}

#[test]
fn draining_is_measured_from_the_start() {
    let start = Instant::now();
    let mut measured = measured(start);
    measured.drained = Some(start + Duration::from_secs(5));
    let plan = plan(Pace::Closed, Follow::Not { drain: true });
    let end = start + Duration::from_secs(5);
    let report = Report::new(&plan, &measured, Ending::Complete, end);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["drained_s"], 5.0);
    assert_eq!(json["drained_per_s"], 2.0);
    assert_eq!(json["unfinished"], 0);
}

#[test]
fn what_went_wrong_is_in_the_table() {
    let start = Instant::now();
    let mut measured = measured(start);
    measured.broken(&Failure::Timeout);
    measured.scheduled(Duration::from_millis(1_500), true);
    let plan = plan(Pace::Open { rate: 5.0 }, Follow::LongPoll);
    let report = Report::new(&plan, &measured, Ending::Impatient, start);
    assert!(!report.is_clean());
    let table = report.to_string();
    for part in [
        "sleep jobs, open loop at 5/s, 64 connections",
        "1 × no answer in time",
        "2 × still under way after 1m 30s",
        "1 jobs were submitted late, up to 1500.0 ms",
        "p99.9",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn a_failed_job_is_not_clean() {
    let start = Instant::now();
    for state in [State::Failed, State::Cancelled] {
        let mut measured = Measurements::new(start);
        measured.accepted(start);
        measured.finished(start, state);
        let plan = plan(Pace::Closed, Follow::LongPoll);
        let report = Report::new(&plan, &measured, Ending::Complete, start);
        assert!(!report.is_clean(), "{state}");
    }
}

#[test]
fn thousands_stand_apart() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (12_345_678, "12,345,678"),
    ] {
        assert_eq!(grouped(number), text);
    }
    assert_eq!(rounded(12.34), "12.3");
    assert_eq!(rounded(12_345.6), "12,346");
}
