//! What is counted while a load test runs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use coatcheck_shared::job::State;
use hdrhistogram::Histogram;

use super::client::{Answer, Failure};

/// Other kinds of error than these are counted as one.
const MOST_ERRORS_TOLD_APART: usize = 50;

/// Longer latencies than a day are counted as a day.
const LONGEST_US: u64 = 86_400_000_000;

/// Up to this long after its moment a job is on schedule: the machine itself wakes threads late.
const PUNCTUAL: Duration = Duration::from_millis(10);

/// An error of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorCount {
    /// How often it happened.
    pub(crate) count: u64,
    /// What the server said the first time.
    pub(crate) example: Option<String>,
}

/// The counts of a load test.
#[derive(Debug)]
pub(crate) struct Measurements {
    /// When it began.
    pub(crate) start: Instant,
    /// Requests that were sent.
    pub(crate) requests: u64,
    /// Jobs whose submission was sent.
    pub(crate) submitted: u64,
    /// Jobs that were accepted.
    pub(crate) accepted: u64,
    /// Jobs that were seen to succeed, to fail, to be cancelled.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// What went wrong, by status or cause.
    pub(crate) errors: BTreeMap<String, ErrorCount>,
    /// Jobs that were submitted after their scheduled moment, how many of these waited for a
    /// connection, and how late the latest was.
    pub(crate) late: u64,
    pub(crate) without_connection: u64,
    pub(crate) latest: Duration,
    /// When the last submission was answered, the last job seen finished, the last job gone.
    pub(crate) last_answer: Option<Instant>,
    pub(crate) last_finish: Option<Instant>,
    pub(crate) drained: Option<Instant>,
    submit: Histogram<u64>,
    result: Histogram<u64>,
    wake_up: Histogram<u64>,
}

impl Measurements {
    /// Nothing yet.
    pub(crate) fn new(start: Instant) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the bounds are constants that it can do"
        )]
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds and a precision");
        Self {
            start,
            requests: 0,
            submitted: 0,
            accepted: 0,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            errors: BTreeMap::new(),
            late: 0,
            without_connection: 0,
            latest: Duration::ZERO,
            last_answer: None,
            last_finish: None,
            drained: None,
            submit: histogram(),
            result: histogram(),
            wake_up: histogram(),
        }
    }

    /// A submission was accepted; its latency counts from `since`.
    pub(crate) fn accepted(&mut self, since: Instant) {
        let now = Instant::now();
        self.accepted += 1;
        self.last_answer = Some(now);
        record(&mut self.submit, now.saturating_duration_since(since));
    }

    /// A job was seen to be finished; its latency counts from `since`.
    pub(crate) fn finished(&mut self, since: Instant, state: State) {
        let now = Instant::now();
        match state {
            State::Succeeded => self.succeeded += 1,
            State::Failed => self.failed += 1,
            _ => self.cancelled += 1,
        }
        self.last_finish = Some(now);
        record(&mut self.result, now.saturating_duration_since(since));
    }

    /// A long poll was answered so long after its job had finished.
    pub(crate) fn woken(&mut self, after: Duration) {
        record(&mut self.wake_up, after);
    }

    /// There was an answer, and not the one hoped for.
    pub(crate) fn refused(&mut self, answer: &Answer) {
        let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
        let example = problem.map(Problem::into_line);
        self.error(answer.status.as_str().to_owned(), example);
    }

    /// There was no answer.
    pub(crate) fn broken(&mut self, failure: &Failure) {
        self.error(failure.to_string(), None);
    }

    fn error(&mut self, name: String, example: Option<String>) {
        let is_new = !self.errors.contains_key(&name);
        let name = if is_new && self.errors.len() >= MOST_ERRORS_TOLD_APART {
            "other".to_owned()
        } else {
            name
        };
        let error = self.errors.entry(name).or_default();
        error.count += 1;
        if error.example.is_none() {
            error.example = example;
        }
    }

    /// A job is submitted so long after its scheduled moment, perhaps for want of a connection.
    pub(crate) fn scheduled(&mut self, behind: Duration, waited_for_connection: bool) {
        if waited_for_connection || behind > PUNCTUAL {
            self.late += 1;
            self.without_connection += u64::from(waited_for_connection);
            self.latest = self.latest.max(behind);
        }
    }

    /// Jobs that were seen to be finished.
    pub(crate) const fn finished_jobs(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }

    /// All that went wrong.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
    }

    /// How long submissions took.
    pub(crate) const fn submit_latency(&self) -> &Histogram<u64> {
        &self.submit
    }

    /// How long it took from a submission until its job was seen to be finished.
    pub(crate) const fn result_latency(&self) -> &Histogram<u64> {
        &self.result
    }

    /// How long it took from the end of a job, by the server's clock, until whoever waited for it
    /// had the answer, by this machine's: the two must agree.
    pub(crate) const fn wake_up_latency(&self) -> &Histogram<u64> {
        &self.wake_up
    }
}

#[derive(serde::Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<WrongField>,
}

#[derive(serde::Deserialize)]
struct WrongField {
    pointer: String,
    detail: String,
}

impl Problem {
    /// The first wrong field says more than that there are some.
    fn into_line(self) -> String {
        match self.errors.into_iter().next() {
            Some(field) => format!("{}: {}", field.pointer, field.detail),
            None => self.detail.unwrap_or(self.title),
        }
    }
}

fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    histogram.saturating_record(microseconds);
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;

    fn answer(status: StatusCode, body: &'static str) -> Answer {
        Answer {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    #[test]
    fn latencies_count_from_the_moment_given() {
        let start = Instant::now();
        let mut measurements = Measurements::new(start);
        let since = start.checked_sub(Duration::from_millis(250)).unwrap();
        measurements.accepted(since);
        measurements.finished(since, State::Succeeded);
        for histogram in [measurements.submit_latency(), measurements.result_latency()] {
            assert!((250_000..350_000).contains(&histogram.max()));
            assert_eq!(histogram.len(), 1);
        }
    }

    #[test]
    fn errors_are_counted_by_status_with_what_the_server_said_first() {
        let mut measurements = Measurements::new(Instant::now());
        let full = r#"{"title": "Queue full", "detail": "try later"}"#;
        measurements.refused(&answer(StatusCode::SERVICE_UNAVAILABLE, "not a problem"));
        measurements.refused(&answer(StatusCode::SERVICE_UNAVAILABLE, full));
        let wrong = r#"{"title": "Bad", "errors": [{"pointer": "/kind", "detail": "unknown"}]}"#;
        measurements.refused(&answer(StatusCode::BAD_REQUEST, wrong));
        measurements.refused(&answer(StatusCode::CONFLICT, r#"{"title": "Taken"}"#));
        measurements.broken(&Failure::Timeout);
        let count = |count, example: Option<&str>| ErrorCount {
            count,
            example: example.map(str::to_owned),
        };
        let expected = BTreeMap::from([
            ("503".to_owned(), count(2, Some("try later"))),
            ("400".to_owned(), count(1, Some("/kind: unknown"))),
            ("409".to_owned(), count(1, Some("Taken"))),
            ("no answer in time".to_owned(), count(1, None)),
        ]);
        assert_eq!(measurements.errors, expected);
        assert_eq!(measurements.error_count(), 5);
    }

    #[test]
    fn a_job_is_late_when_it_waited_or_started_much_after_its_moment() {
        let mut measurements = Measurements::new(Instant::now());
        measurements.scheduled(Duration::from_millis(2), false);
        assert_eq!(measurements.late, 0);
        measurements.scheduled(Duration::from_millis(2), true);
        measurements.scheduled(Duration::from_millis(200), false);
        assert_eq!((measurements.late, measurements.without_connection), (2, 1));
        assert_eq!(measurements.latest, Duration::from_millis(200));
    }

    #[test]
    fn errors_told_apart_are_bounded() {
        let mut measurements = Measurements::new(Instant::now());
        for number in 0..200 {
            measurements.error(format!("error {number}"), None);
        }
        assert_eq!(measurements.errors.len(), MOST_ERRORS_TOLD_APART + 1);
        assert_eq!(measurements.error_count(), 200);
    }
}
