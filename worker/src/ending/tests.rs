use std::time::Duration;

use coatcheck_shared::job::{JobId, LeaseId, Metadata};
use uuid::Uuid;

use super::*;

const RULES: Rules = Rules {
    backoff: Backoff {
        base_s: 1.0,
        cap_s: 60.0,
    },
    result_bytes: 10,
};

pub(crate) fn job(attempt: u32) -> ClaimedJob {
    ClaimedJob {
        id: JobId::from_uuid(Uuid::from_u128(1)),
        tenant: "default".parse().unwrap(),
        kind: "kind".parse().unwrap(),
        queue: "default".parse().unwrap(),
        attempt,
        max_attempts: 3,
        lease: LeaseId::from_uuid(Uuid::from_u128(2)),
        created_at: now(),
        queued_at: now(),
        started_at: now(),
        timeout: Some(Duration::from_secs(2)),
        deadline_at: None,
        previous_backoff: None,
        payload_type: "application/json".to_owned(),
        payload: "{}".into(),
        metadata: Metadata::default(),
        traceparent: None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_microseconds(1_000_000_000)
}

fn done() -> Ending {
    Ending::Returned(Ok(JobResult::new("text/plain", "done")))
}

fn failed(error: HandlerError) -> Ending {
    Ending::Returned(Err(error))
}

/// The outcome in a word, with the failure's type and the pause in seconds.
fn word(attempt: u32, ending: Ending, stopped_by: Option<StopCause>) -> String {
    match RULES.outcome(&job(attempt), ending, stopped_by, now()) {
        None => "nothing".to_owned(),
        Some(Outcome::Succeeded(_)) => "succeeded".to_owned(),
        Some(Outcome::Cancelled) => "cancelled".to_owned(),
        Some(Outcome::Released) => "released".to_owned(),
        Some(Outcome::Failed(failure)) => format!("failed {}", failure.failure_type.as_str()),
        Some(Outcome::RetryAt {
            backoff,
            failure,
            run_at,
        }) => {
            assert_eq!(run_at, now().after(backoff));
            assert!(backoff >= Duration::from_secs(1));
            format!("retry {}", failure.failure_type.as_str())
        }
    }
}

#[test]
fn every_ending_leads_where_it_should() {
    use StopCause::{CancelRequested, LeaseLost, ShutDown};
    let again = || failed(HandlerError::retry("x"));
    let never = || failed(HandlerError::fail("x"));
    let panicked = || Ending::Panicked("x".to_owned());
    let timed_out = || Ending::OutOfTime(TimeLimit::Timeout);
    let late = || Ending::OutOfTime(TimeLimit::Deadline);
    let table = [
        (1, done(), None, "succeeded"),
        (1, again(), None, "retry error"),
        (3, again(), None, "failed error"),
        (1, never(), None, "failed error"),
        (1, panicked(), None, "retry panic"),
        (3, panicked(), None, "failed panic"),
        (1, timed_out(), None, "retry timeout"),
        (3, timed_out(), None, "failed timeout"),
        (1, late(), None, "failed deadline"),
        (1, done(), Some(CancelRequested), "succeeded"),
        (1, again(), Some(CancelRequested), "cancelled"),
        (1, never(), Some(CancelRequested), "cancelled"),
        (1, panicked(), Some(CancelRequested), "cancelled"),
        (1, Ending::Dropped, Some(CancelRequested), "cancelled"),
        (1, done(), Some(ShutDown), "succeeded"),
        (3, again(), Some(ShutDown), "released"),
        (3, Ending::Dropped, Some(ShutDown), "released"),
        (1, done(), Some(LeaseLost), "nothing"),
        (1, Ending::Dropped, Some(LeaseLost), "nothing"),
    ];
    for (attempt, ending, stopped_by, expected) in table {
        let shown = format!("attempt {attempt}, {ending:?}, {stopped_by:?}");
        assert_eq!(word(attempt, ending, stopped_by), expected, "{shown}");
    }
}

#[test]
fn a_handler_may_say_when_to_come_back() {
    let error = HandlerError::retry_after("x", Duration::from_secs(1_000));
    let outcome = RULES.outcome(&job(1), failed(error), None, now());
    let Some(Outcome::RetryAt { backoff, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(backoff, Duration::from_secs(1_000));
}

#[test]
fn a_result_over_the_limit_fails() {
    let large = Ending::Returned(Ok(JobResult::new("text/plain", "x".repeat(11))));
    assert_eq!(word(1, large, None), "failed error");
}

#[test]
fn a_panic_says_what_it_said() {
    let text: Box<dyn Any + Send> = Box::new("a literal");
    let formatted: Box<dyn Any + Send> = Box::new("a string".to_owned());
    let other: Box<dyn Any + Send> = Box::new(7_u8);
    assert_eq!(panic_message(&*text), "a literal");
    assert_eq!(panic_message(&*formatted), "a string");
    assert!(panic_message(&*other).contains("without a message"));
}
