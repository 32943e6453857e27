//! What `coatcheck load` takes.

use std::time::Duration;

use clap::{Args, ValueEnum};
use coatcheck_shared::job::{KindName, QueueName};
use url::Url;

use super::plan::{Follow, Limit, Pace, Plan, Target};

/// The arguments of a load test.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  coatcheck load --connections 64 --duration 30s
  coatcheck load --rate 1000 --duration 1m --payload '{\"ms\": 10}'
  coatcheck load --jobs 100000 --wait none --drain
  coatcheck load --kind http --payload @request.json --jobs 100 --json

Exit status: 0 all went well, 1 there were errors (the report says which), 2 wrong usage.")]
pub(crate) struct LoadArguments {
    /// Where the API is.
    #[arg(
        long,
        value_name = "URL",
        env = "COATCHECK_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: Url,
    /// The key to call with, where the API wants one.
    #[arg(
        long,
        value_name = "KEY",
        env = "COATCHECK_KEY",
        hide_env_values = true
    )]
    key: Option<String>,

    /// The kind of the jobs.
    #[arg(
        long,
        value_name = "KIND",
        default_value = "sleep",
        help_heading = "Jobs"
    )]
    kind: KindName,
    /// Their payload, as JSON or in a file; {"ms": 0} for sleep.
    #[arg(long, value_name = "JSON|@FILE", help_heading = "Jobs")]
    payload: Option<String>,
    /// The queue they wait in.
    #[arg(long, value_name = "QUEUE", help_heading = "Jobs")]
    queue: Option<QueueName>,
    /// How urgent they are there.
    #[arg(long, value_name = "PRIORITY", help_heading = "Jobs")]
    priority: Option<Priority>,

    /// How many connections there are at most: the callers of a closed loop, 64 of them where
    /// it is not said, or what an open loop may use, 256.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000), help_heading = "Load")]
    connections: Option<u32>,
    /// Open loop: how many jobs are submitted a second.
    #[arg(long, value_name = "N", value_parser = rate, help_heading = "Load")]
    rate: Option<f64>,
    /// How long jobs are submitted, like 30s or 2m; 10s where neither this nor --jobs is said.
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Load")]
    duration: Option<Duration>,
    /// How many jobs are submitted at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    jobs: Option<u64>,

    /// How jobs are followed once they are accepted.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "long-poll",
        help_heading = "Following"
    )]
    wait: Wait,
    /// The pause between two polls of a job, with --wait poll.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration, help_heading = "Following")]
    poll_every: Duration,
    /// With --wait none: wait until no job is left waiting or running, and report how long all
    /// of it took.
    #[arg(long, help_heading = "Following")]
    drain: bool,
    /// The longest to wait, after the last submission, for the jobs under way.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration, help_heading = "Following")]
    settle: Duration,
    /// The longest that one answer may take, beyond what it was asked to wait.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration, help_heading = "Following")]
    timeout: Duration,

    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wait {
    /// One request that is answered when the job is finished.
    LongPoll,
    /// A request every --poll-every.
    Poll,
    /// Not at all.
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Priority {
    High,
    Normal,
    Low,
}

impl LoadArguments {
    /// Whether the report is for programs.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// What is to be done, if it can be.
    ///
    /// # Errors
    /// With one line on what is wrong.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let follow = self.follow()?;
        let default_connections = if self.rate.is_some() { 256 } else { 64 };
        let duration = match (self.duration, self.jobs) {
            (None, None) => Some(Duration::from_secs(10)),
            (duration, _) => duration,
        };
        Ok(Plan {
            target: Target::new(&self.url, self.key())?,
            submission: self.submission()?,
            kind: self.kind.to_string(),
            connections: self.connections.unwrap_or(default_connections),
            pace: self.rate.map_or(Pace::Closed, |rate| Pace::Open { rate }),
            limit: Limit {
                duration,
                jobs: self.jobs,
            },
            follow,
            settle: self.settle,
            timeout: self.timeout,
        })
    }

    /// The key; a variable that is passed on unset is empty.
    fn key(&self) -> Option<&str> {
        self.key.as_deref().filter(|key| !key.is_empty())
    }

    fn follow(&self) -> Result<Follow, String> {
        match (self.wait, self.drain) {
            (Wait::None, drain) => Ok(Follow::Not { drain }),
            (_, true) => Err(
                "--drain needs --wait none: jobs that are followed are seen to \
                              their end anyway"
                    .to_owned(),
            ),
            (Wait::LongPoll, false) => Ok(Follow::LongPoll),
            (Wait::Poll, false) => Ok(Follow::Poll {
                every: self.poll_every,
            }),
        }
    }

    fn submission(&self) -> Result<Vec<u8>, String> {
        let payload = match (&self.payload, self.kind.as_str()) {
            (Some(payload), _) => read_payload(payload)?,
            (None, "sleep") => serde_json::json!({ "ms": 0 }),
            (None, kind) => return Err(format!("--kind {kind} needs a --payload")),
        };
        let mut submission = serde_json::json!({ "kind": self.kind.as_str(), "payload": payload });
        if let Some(queue) = &self.queue {
            submission["queue"] = queue.as_str().into();
        }
        if let Some(priority) = self.priority {
            submission["priority"] = match priority {
                Priority::High => "high",
                Priority::Normal => "normal",
                Priority::Low => "low",
            }
            .into();
        }
        Ok(submission.to_string().into_bytes())
    }
}

fn read_payload(argument: &str) -> Result<serde_json::Value, String> {
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("--payload: {path} cannot be read: {error}"))?,
        None => argument.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| format!("--payload is not JSON: {error}"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; durations look like 500ms, 30s or 2m"))?;
    if duration.is_zero() {
        return Err("it must be longer than nothing".to_owned());
    }
    Ok(duration)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number of jobs a second, from 0.001 to 1000000".to_owned()),
    }
}

#[cfg(test)]
mod tests;
