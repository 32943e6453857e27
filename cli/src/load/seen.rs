//! What an answer says about a job.

use std::time::Duration;

use coatcheck_shared::{job::State, timestamp::Timestamp};

/// What was seen of a job. Its times are differences of the server's own clock, so no other
/// clock must agree with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: State,
    /// From its submission to the begin of its attempt, where that has begun.
    pub(super) waited: Option<Duration>,
    /// From its submission to its end, where it has ended.
    pub(super) lived: Option<Duration>,
}

/// Nothing else is read of a job: the load tester shares its machine with what it measures.
#[derive(serde::Deserialize)]
struct JobView<'a> {
    #[serde(borrow)]
    state: &'a str,
    created_at: Option<&'a str>,
    started_at: Option<&'a str>,
    finished_at: Option<&'a str>,
}

impl Seen {
    /// What the body of an answer says; none, where it is no job.
    pub(super) fn in_body(body: &[u8]) -> Option<Self> {
        let job: JobView<'_> = serde_json::from_slice(body).ok()?;
        let time = |text: Option<&str>| text?.parse::<Timestamp>().ok();
        let created = time(job.created_at);
        let since_created = |text| Some(time(text)?.since(created?));
        Some(Self {
            state: job.state.parse().ok()?,
            waited: since_created(job.started_at),
            lived: since_created(job.finished_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_and_the_times_are_all_that_is_read_of_a_job() {
        let job = br#"{"id": "x", "progress": {"percent": 3}, "state": "succeeded",
            "created_at": "2026-01-31T12:00:00.000000Z", "started_at": "2026-01-31T12:00:01.500000Z",
            "finished_at": "2026-01-31T12:00:03.000000Z"}"#;
        let expected = Seen {
            state: State::Succeeded,
            waited: Some(Duration::from_millis(1_500)),
            lived: Some(Duration::from_secs(3)),
        };
        assert_eq!(Seen::in_body(job), Some(expected));
    }

    #[test]
    fn a_job_need_not_have_begun() {
        let job =
            br#"{"state": "queued", "created_at": "2026-01-31T12:00:00Z", "started_at": null}"#;
        let seen = Seen::in_body(job).unwrap();
        assert_eq!(
            (seen.state, seen.waited, seen.lived),
            (State::Queued, None, None)
        );
        assert_eq!(Seen::in_body(b"{}"), None);
        assert_eq!(Seen::in_body(br#"{"state": "asleep"}"#), None);
    }
}
