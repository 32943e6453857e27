//! What is counted while a load test runs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use coatcheck_shared::job::State;
use hdrhistogram::Histogram;

use super::{
    client::{Answer, Failure},
    timeline::{LONGEST_US, Slot, Timeline},
};

/// Other kinds of error than these are counted as one.
const MOST_ERRORS_TOLD_APART: usize = 50;

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
    /// What became of the jobs, for each part of the mix.
    pub(crate) parts: Vec<PartCounts>,
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
    /// What happened when.
    pub(crate) timeline: Timeline,
}

/// What became of the jobs of one part of the mix.
#[derive(Clone, Debug)]
pub(crate) struct PartCounts {
    /// Jobs whose submission was sent.
    pub(crate) submitted: u64,
    /// Jobs that were accepted.
    pub(crate) accepted: u64,
    /// Jobs that were seen to succeed, to fail, to be cancelled.
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// How long submissions took, in microseconds.
    pub(crate) post: Histogram<u64>,
    /// How long it took from a submission until its job was seen to be finished.
    pub(crate) result: Histogram<u64>,
}

impl PartCounts {
    fn new() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the bounds are constants that it can do"
        )]
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds and a precision");
        Self {
            submitted: 0,
            accepted: 0,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            post: histogram(),
            result: histogram(),
        }
    }

    /// Jobs that were seen to be finished.
    pub(crate) const fn finished(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }

    fn add(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.accepted += other.accepted;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        // Histograms of the same bounds can be added.
        let _ = self.post.add(&other.post);
        let _ = self.result.add(&other.result);
    }
}

impl Measurements {
    /// Nothing yet, of a mix of so many parts.
    pub(crate) fn new(start: Instant, parts: usize) -> Self {
        Self {
            start,
            requests: 0,
            parts: vec![PartCounts::new(); parts],
            errors: BTreeMap::new(),
            late: 0,
            without_connection: 0,
            latest: Duration::ZERO,
            last_answer: None,
            last_finish: None,
            drained: None,
            timeline: Timeline::new(),
        }
    }

    /// All parts of the mix as one.
    pub(crate) fn all(&self) -> PartCounts {
        let mut all = PartCounts::new();
        for part in &self.parts {
            all.add(part);
        }
        all
    }

    fn slot(&mut self, moment: Instant) -> &mut Slot {
        self.timeline
            .at(moment.saturating_duration_since(self.start))
    }

    /// A submission was answered with a job that was accepted so long `ago`; its latency counts
    /// from `since`. It says when the job was accepted.
    pub(crate) fn accepted(&mut self, part: usize, since: Instant, ago: Duration) -> Instant {
        let now = Instant::now();
        let accepted = now.checked_sub(ago).unwrap_or(since).max(since);
        let latency = microseconds(now.saturating_duration_since(since));
        self.last_answer = Some(now);
        self.parts[part].accepted += 1;
        self.parts[part].post.saturating_record(latency);
        self.slot(now).post.record(latency);
        self.slot(accepted).accepted += 1;
        accepted
    }

    /// A job was begun to be worked on, at a moment that may be past.
    pub(crate) fn started(&mut self, moment: Instant) {
        self.slot(moment).started += 1;
    }

    /// A job was seen to be finished; its latency counts from `since`.
    pub(crate) fn finished(&mut self, part: usize, since: Instant, state: State) {
        let now = Instant::now();
        let latency = microseconds(now.saturating_duration_since(since));
        let counts = &mut self.parts[part];
        match state {
            State::Succeeded => counts.succeeded += 1,
            State::Failed => counts.failed += 1,
            _ => counts.cancelled += 1,
        }
        counts.result.saturating_record(latency);
        self.last_finish = Some(now);
        let slot = self.slot(now);
        slot.finished += 1;
        slot.result.record(latency);
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
        let slot = self.slot(Instant::now());
        match slot.errors.get_mut(&name) {
            Some(count) => *count += 1,
            None => drop(slot.errors.insert(name.clone(), 1)),
        }
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

    /// The run is over; the time in which nothing happened is part of it.
    pub(crate) fn end(&mut self, end: Instant) {
        self.slot(end);
    }

    /// All that went wrong.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
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

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
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
        let mut measurements = Measurements::new(start, 1);
        let since = start.checked_sub(Duration::from_millis(250)).unwrap();
        measurements.accepted(0, since, Duration::ZERO);
        measurements.finished(0, since, State::Succeeded);
        let all = measurements.all();
        for histogram in [&all.post, &all.result] {
            assert!((250_000..350_000).contains(&histogram.max()));
            assert_eq!(histogram.len(), 1);
        }
    }

    #[test]
    fn errors_are_counted_by_status_with_what_the_server_said_first() {
        let mut measurements = Measurements::new(Instant::now(), 1);
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
        let mut measurements = Measurements::new(Instant::now(), 1);
        measurements.scheduled(Duration::from_millis(2), false);
        assert_eq!(measurements.late, 0);
        measurements.scheduled(Duration::from_millis(2), true);
        measurements.scheduled(Duration::from_millis(200), false);
        assert_eq!((measurements.late, measurements.without_connection), (2, 1));
        assert_eq!(measurements.latest, Duration::from_millis(200));
    }

    #[test]
    fn each_part_of_a_mix_has_its_own_counts_and_all_have_a_sum() {
        let start = Instant::now();
        let mut measurements = Measurements::new(start, 2);
        for part in [0, 1, 1] {
            measurements.accepted(part, start, Duration::ZERO);
            measurements.finished(part, start, State::Failed);
        }
        let accepted = measurements.parts.iter().map(|part| part.accepted);
        assert_eq!(accepted.collect::<Vec<_>>(), [1, 2]);
        let all = measurements.all();
        assert_eq!((all.accepted, all.finished(), all.result.len()), (3, 3, 3));
        assert_eq!(measurements.timeline.slots()[0].finished, 3);
    }

    #[test]
    fn errors_told_apart_are_bounded() {
        let mut measurements = Measurements::new(Instant::now(), 1);
        for number in 0..200 {
            measurements.error(format!("error {number}"), None);
        }
        assert_eq!(measurements.errors.len(), MOST_ERRORS_TOLD_APART + 1);
        assert_eq!(measurements.error_count(), 200);
    }
}
