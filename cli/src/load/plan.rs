//! What a load test is to do.

use std::time::Duration;

use hyper::header::HeaderValue;
use url::Url;

/// A load test, with every default filled in.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Whom it measures.
    pub(crate) target: Target,
    /// The body of every submission.
    pub(crate) submission: Vec<u8>,
    /// The kind of the jobs.
    pub(crate) kind: String,
    /// The most connections at once.
    pub(crate) connections: u32,
    /// When jobs are submitted.
    pub(crate) pace: Pace,
    /// When submitting ends.
    pub(crate) limit: Limit,
    /// How jobs are followed.
    pub(crate) follow: Follow,
    /// The longest wait for the jobs under way after the last submission.
    pub(crate) settle: Duration,
    /// The longest that one answer may take.
    pub(crate) timeout: Duration,
}

/// When jobs are submitted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each connection submits its next job when its last is done.
    Closed,
    /// By a schedule, so many a second.
    Open {
        /// Jobs a second.
        rate: f64,
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
    pub(crate) fn jobs_at(&self, rate: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float too large becomes the largest integer"
        )]
        let by_time = self
            .duration
            .map_or(u64::MAX, |time| (time.as_secs_f64() * rate).ceil() as u64);
        by_time.min(self.jobs.unwrap_or(u64::MAX))
    }
}

/// How jobs are followed once they are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Follow {
    /// By a request that is answered when the job is finished.
    LongPoll,
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
        assert_eq!(limit(Some(2), None).jobs_at(100.0), 200);
        assert_eq!(limit(Some(2), Some(50)).jobs_at(100.0), 50);
        assert_eq!(limit(None, Some(50)).jobs_at(100.0), 50);
        assert_eq!(limit(Some(1), None).jobs_at(0.5), 1);
    }
}
