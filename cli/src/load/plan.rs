//! What a load test is to do.

use std::time::Duration;

use hyper::header::HeaderValue;
use url::Url;

use super::{mix::Mix, profile::Profile, stages::Stage, thresholds::Threshold};

/// Less than this above a whole number of jobs is no further job.
const ROUNDING: f64 = 1e-6;

/// A load test, with every default filled in.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Whom it measures.
    pub(crate) target: Target,
    /// What is submitted.
    pub(crate) mix: Mix,
    /// The most connections at once.
    pub(crate) connections: u32,
    /// When jobs are submitted.
    pub(crate) pace: Pace,
    /// The stages of the pace, as they were wished for.
    pub(crate) stages: Vec<Stage>,
    /// When submitting ends.
    pub(crate) limit: Limit,
    /// How jobs are followed.
    pub(crate) follow: Follow,
    /// The longest wait for the jobs under way after the last submission.
    pub(crate) settle: Duration,
    /// The longest that one answer may take, and that a job is followed whose server fails.
    pub(crate) timeout: Duration,
    /// What makes the run a failure.
    pub(crate) thresholds: Vec<Threshold>,
}

/// When jobs are submitted.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// Each caller submits its next job when its last is done.
    Closed {
        /// How many callers there are.
        callers: Profile,
    },
    /// By a schedule, so many a second.
    Open {
        /// Jobs a second.
        rate: Profile,
    },
}

/// When submitting ends: at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// After this time.
    pub(crate) duration: Option<Duration>,
    /// After this many jobs.
    pub(crate) jobs: Option<u64>,
}

impl Limit {
    /// How many jobs an open loop submits until its end.
    pub(crate) fn jobs_at(&self, rate: &Profile) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float too large becomes the largest integer"
        )]
        let by_time = self.duration.map_or(u64::MAX, |time| {
            (rate.area_until(time) - ROUNDING).ceil() as u64
        });
        by_time.min(self.jobs.unwrap_or(u64::MAX))
    }
}

/// How jobs are followed once they are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Follow {
    /// By a request that is answered when the job is finished.
    LongPoll,
    /// By the stream of its events.
    Events,
    /// By the submission itself, which is answered when the job is finished.
    Submit,
    /// By a request now and then.
    Poll {
        /// The pause between two.
        every: Duration,
    },
    /// Not at all.
    Not {
        /// Whether to wait until no job is left.
        drain: bool,
    },
}

impl Follow {
    /// What `--wait` calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::LongPoll => "long-poll",
            Self::Events => "events",
            Self::Submit => "submit",
            Self::Poll { .. } => "poll",
            Self::Not { .. } => "none",
        }
    }
}

/// The API that is measured.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name or address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// What every path begins with; without a slash at its end.
    pub(crate) prefix: String,
    /// The `Host` header.
    pub(crate) authority: HeaderValue,
    /// The `Authorization` header.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Target {
    /// The target of a URL.
    ///
    /// # Errors
    /// With one line on what is wrong.
    pub(crate) fn new(url: &Url, key: Option<&str>) -> Result<Self, String> {
        let host = match (url.scheme(), url.host_str()) {
            ("http", Some(host)) => host,
            _ => return Err(format!("--url is {url}, it must be http://HOST[:PORT]")),
        };
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(format!(
                "--url is {url}, it must end with the host, the port or a path"
            ));
        }
        let port = url.port_or_known_default().unwrap_or(80);
        let authorization = key
            .map(|key| {
                let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                    .map_err(|_| "--key has characters that no key has".to_owned())?;
                value.set_sensitive(true);
                Ok::<_, String>(value)
            })
            .transpose()?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            prefix: url.path().trim_end_matches('/').to_owned(),
            authority: HeaderValue::from_str(&format!("{host}:{port}"))
                .map_err(|_| format!("--url is {url}, its host is none"))?,
            authorization,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_port_and_a_prefix() {
        let target = Target::new(&"http://localhost/jobs/".parse().unwrap(), None).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("localhost", 80));
        assert_eq!(target.prefix, "/jobs");
        let target = Target::new(&"http://[::1]:81".parse().unwrap(), Some("k")).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 81));
        assert_eq!(target.authority, "[::1]:81");
        assert_eq!(target.authorization.unwrap(), "Bearer k");
    }

    #[test]
    fn an_open_loop_ends_with_its_time_or_its_jobs() {
        let limit = |seconds: Option<u64>, jobs| Limit {
            duration: seconds.map(Duration::from_secs),
            jobs,
        };
        let rate = Profile::constant;
        assert_eq!(limit(Some(2), None).jobs_at(&rate(100.0)), 200);
        assert_eq!(limit(Some(2), Some(50)).jobs_at(&rate(100.0)), 50);
        assert_eq!(limit(None, Some(50)).jobs_at(&rate(100.0)), 50);
        assert_eq!(limit(Some(1), None).jobs_at(&rate(0.5)), 1);
    }
}
