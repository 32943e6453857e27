use coatcheck_shared::job::State;

use super::*;
use crate::load::{
    client::Failure,
    mix::Mix,
    plan::{Limit, Target},
    profile::Profile,
};

fn closed() -> Pace {
    let callers = Profile::constant(64.0);
    Pace::Closed { callers }
}

fn open(rate: f64) -> Pace {
    let rate = Profile::constant(rate);
    Pace::Open { rate }
}

fn plan(pace: Pace, follow: Follow) -> Plan {
    Plan {
        target: Target::new(&"http://localhost".parse().unwrap(), None).unwrap(),
        mix: Mix::of(&["sleep=1".parse().unwrap()]).unwrap(),
        connections: 64,
        pace,
        stages: Vec::new(),
        limit: Limit {
            duration: None,
            jobs: Some(10),
        },
        follow,
        settle: Duration::from_secs(90),
        timeout: Duration::from_secs(1),
        thresholds: Vec::new(),
    }
}

/// Ten jobs accepted in the second second, eight seen to succeed by the fourth.
fn measured(start: Instant) -> Measurements {
    let mut measured = Measurements::new(start, 1);
    for number in 0..10 {
        measured.accepted(0, start, Duration::ZERO);
        if number < 8 {
            measured.finished(0, start, State::Succeeded);
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
    let plan = plan(closed(), Follow::LongPoll);
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
    let plan = plan(closed(), Follow::Not { drain: true });
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
    let plan = plan(open(5.0), Follow::LongPoll);
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
        let mut measured = Measurements::new(start, 1);
        measured.accepted(0, start, Duration::ZERO);
        measured.finished(0, start, state);
        let plan = plan(closed(), Follow::LongPoll);
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

#[test]
fn conditions_are_judged_by_what_was_measured() {
    let start = Instant::now();
    let mut measured = measured(start);
    measured.requests = 200;
    measured.broken(&Failure::Timeout);
    let mut plan = plan(closed(), Follow::LongPoll);
    for (text, crossed, value) in [
        ("p99>1h", false, None),
        ("post.max<1h", true, None),
        ("lost>1", true, Some(2.0)),
        ("sleep:lost>2", false, Some(2.0)),
        ("failed>0", false, Some(0.0)),
        ("errors>=1", true, Some(1.0)),
        ("error_rate>1%", false, Some(0.005)),
        ("accepted_per_s<5.1", true, Some(5.0)),
        ("throughput<=2", true, Some(2.0)),
        ("sleep:throughput<1.9", false, Some(2.0)),
    ] {
        plan.thresholds = vec![text.parse().unwrap()];
        let report = Report::new(&plan, &measured, Ending::Complete, start);
        let verdict = &report.thresholds[0];
        assert_eq!(verdict.crossed, crossed, "{verdict}");
        assert_eq!(report.has_failed(), crossed, "{verdict}");
        if value.is_some() {
            assert_eq!(verdict.value, value, "{verdict}");
        }
    }
}

#[test]
fn a_condition_on_what_was_never_measured_holds() {
    let start = Instant::now();
    let mut plan = plan(closed(), Follow::LongPoll);
    plan.thresholds = vec!["p99>1h".parse().unwrap(), "error_rate>1%".parse().unwrap()];
    let measured = Measurements::new(start, 1);
    let report = Report::new(&plan, &measured, Ending::Interrupted, start);
    assert!(report.thresholds.iter().all(|verdict| verdict.crossed));
    assert!(
        report
            .to_string()
            .contains("FAILED  p99>1h: nothing was measured")
    );
}

#[test]
fn errors_are_a_failure_unless_a_condition_is_about_them() {
    let start = Instant::now();
    let mut measured = measured(start);
    measured.broken(&Failure::Timeout);
    let mut plan = plan(closed(), Follow::LongPoll);
    for (text, is_clean) in [("p99>1h", false), ("errors>5", true), ("lost>5", true)] {
        plan.thresholds = vec![text.parse().unwrap()];
        let report = Report::new(&plan, &measured, Ending::Complete, start);
        assert_eq!((report.has_failed(), report.is_clean()), (false, is_clean));
    }
}

#[test]
fn states_add_up_over_time() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut measured = Measurements::new(start, 1);
    for _ in 0..4 {
        measured.timeline.at(Duration::ZERO).accepted += 1;
    }
    measured.started(start);
    measured.started(start + 2 * second);
    measured.timeline.at(2 * second).finished += 1;
    measured.end(start + 3 * second);
    let plan = plan(closed(), Follow::LongPoll);
    let end = start + 3 * second + second / 2;
    let report = Report::new(&plan, &measured, Ending::Complete, end);
    let states = report.timeline.iter().map(|moment| {
        (
            moment.queued.unwrap(),
            moment.running.unwrap(),
            moment.finished_in_all,
        )
    });
    let expected = [(3, 1, 0), (3, 1, 0), (2, 1, 1), (2, 1, 1)];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    assert!((report.timeline[3].length_s - 0.5).abs() < 1e-9);
}
