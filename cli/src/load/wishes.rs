//! What a load test may be told, on the command line and in a scenario file alike.

use std::{path::Path, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use coatcheck_shared::job::{KindName, QueueName};
use serde::Deserialize;
use url::Url;

use super::{
    mix::{Mix, Wish, read_payload},
    plan::{Follow, Limit, Pace, Plan, Target},
    profile::Profile,
    scenario::JobOfFile,
    stages::{self, Ramped, Stage},
    thresholds::Threshold,
};

/// Where the API is, where nothing says so.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What is asked for; a default holds for what is not.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wishes {
    /// Where the API is [default: http://127.0.0.1:8080].
    #[arg(long, value_name = "URL", env = "COATCHECK_URL")]
    url: Option<String>,

    /// The kind of the jobs [default: sleep].
    #[arg(long, value_name = "KIND", help_heading = "Jobs")]
    #[serde(skip)]
    kind: Option<KindName>,
    /// Their payload, as JSON or in a file; {"ms": 0} for sleep.
    #[arg(long, value_name = "JSON|@FILE", help_heading = "Jobs")]
    #[serde(skip)]
    payload: Option<String>,
    /// One kind of several, and how many of all jobs are of it: 'sleep=3:{"ms": 10}' and
    /// http=1:@request.json make three of four jobs sleep. Repeat it for each.
    #[arg(long, value_name = "KIND=WEIGHT[:PAYLOAD]", help_heading = "Jobs")]
    #[serde(skip)]
    mix: Vec<Wish>,
    /// The queue they wait in.
    #[arg(long, value_name = "QUEUE", help_heading = "Jobs")]
    queue: Option<QueueName>,
    /// How urgent they are there.
    #[arg(long, value_name = "PRIORITY", help_heading = "Jobs")]
    priority: Option<Priority>,
    #[arg(skip)]
    #[serde(default, rename = "job")]
    jobs_of_file: Vec<JobOfFile>,

    /// How many connections there are at most: the callers of a closed loop, 64 of them where
    /// it is not said, or what an open loop may use, 256.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000), help_heading = "Load")]
    connections: Option<u32>,
    /// Open loop: how many jobs are submitted a second.
    #[arg(long, value_name = "N", help_heading = "Load")]
    rate: Option<f64>,
    /// Go evenly to N jobs a second (30s:200), or to N connections (30s:64c), in this time.
    /// Repeat it for each stage; the first begins at --rate (or --connections), else at nothing.
    /// A stage of 0s is a jump.
    #[arg(long = "stage", value_name = "TIME:N", help_heading = "Load")]
    #[serde(default)]
    stages: Vec<Stage>,
    /// How long jobs are submitted, like 30s or 2m; 10s where neither this nor --jobs is said.
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    duration: Option<Time>,
    /// How many jobs are submitted at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    jobs: Option<u64>,

    /// How jobs are followed once they are accepted [default: long-poll].
    #[arg(long, value_name = "HOW", help_heading = "Following")]
    wait: Option<Wait>,
    /// The pause between two polls of a job, with --wait poll [default: 100ms].
    #[arg(long, value_name = "TIME", help_heading = "Following")]
    poll_every: Option<Time>,
    /// With --wait none: wait until no job is left waiting or running, and report how long all
    /// of it took.
    #[arg(long, help_heading = "Following")]
    #[serde(default)]
    drain: bool,
    /// The longest to wait, after the last submission, for the jobs under way [default: 10m].
    #[arg(long, value_name = "TIME", help_heading = "Following")]
    settle: Option<Time>,
    /// The longest that one answer may take, beyond what it was asked to wait, and that a job is
    /// followed while the server fails [default: 30s].
    #[arg(long, value_name = "TIME", help_heading = "Following")]
    timeout: Option<Time>,

    /// The run has failed if this holds at its end: 'p99>2s', 'post.p90>50ms', 'error_rate>1%',
    /// 'throughput<500', 'lost>0', 'http:p99>5s' for a part of a mix. Repeat it for each.
    #[arg(long, value_name = "CONDITION", help_heading = "Verdict")]
    #[serde(default)]
    fail_if: Vec<Threshold>,
}

#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wait {
    /// One request that is answered when the job is finished.
    LongPoll,
    /// A request every --poll-every.
    Poll,
    /// The stream of its events (SSE).
    Events,
    /// In the submission itself (Prefer: wait), which then takes as long.
    Submit,
    /// Not at all.
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    High,
    Normal,
    Low,
}

impl Priority {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// A duration as people write it; not nothing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Time(Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text)
            .map_err(|error| format!("{error}; durations look like 500ms, 30s or 2m"))?;
        if duration.is_zero() {
            return Err("it must be longer than nothing".to_owned());
        }
        Ok(Self(duration))
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|reason| format!("{text:?}: {reason}"))
    }
}

/// Mine, and where there are none, theirs.
fn first<T>(mine: Vec<T>, theirs: Vec<T>) -> Vec<T> {
    if mine.is_empty() { theirs } else { mine }
}

impl Wishes {
    /// With the files of payloads where they are seen from this folder.
    pub(super) fn beside(mut self, folder: &Path) -> Self {
        for job in &mut self.jobs_of_file {
            job.find_payload_in(folder);
        }
        self
    }

    /// These, and where they say nothing, those.
    pub(super) fn over(self, file: Self) -> Self {
        let says_jobs = self.kind.is_some() || self.payload.is_some() || !self.mix.is_empty();
        Self {
            url: self.url.or(file.url),
            jobs_of_file: if says_jobs {
                Vec::new()
            } else {
                file.jobs_of_file
            },
            kind: self.kind,
            payload: self.payload,
            mix: self.mix,
            queue: self.queue.or(file.queue),
            priority: self.priority.or(file.priority),
            connections: self.connections.or(file.connections),
            rate: self.rate.or(file.rate),
            stages: first(self.stages, file.stages),
            duration: self.duration.or(file.duration),
            jobs: self.jobs.or(file.jobs),
            wait: self.wait.or(file.wait),
            poll_every: self.poll_every.or(file.poll_every),
            drain: self.drain || file.drain,
            settle: self.settle.or(file.settle),
            timeout: self.timeout.or(file.timeout),
            fail_if: first(self.fail_if, file.fail_if),
        }
    }

    /// What is to be done, if it can be.
    ///
    /// # Errors
    /// With one line on what is wrong.
    pub(super) fn plan(&self, key: Option<&str>) -> Result<Plan, String> {
        let (pace, connections, staged) = self.pace()?;
        let duration = match (staged, self.duration, self.jobs) {
            (Some(_), Some(_), _) => {
                return Err("--duration: the stages say already how long the run is".to_owned());
            }
            (Some(staged), None, _) => Some(staged),
            (None, None, None) => Some(Duration::from_secs(10)),
            (None, duration, _) => duration.map(|time| time.0),
        };
        if self.jobs == Some(0) {
            return Err("jobs is 0, it must be at least 1".to_owned());
        }
        let mix = self.mix()?;
        let follow = self.follow()?;
        let names: Vec<&str> = mix.parts.iter().map(|part| part.name.as_str()).collect();
        for threshold in &self.fail_if {
            threshold.check(&names, !matches!(follow, Follow::Not { .. }))?;
        }
        let time = |time: Option<Time>, default| time.map_or(default, |time| time.0);
        Ok(Plan {
            target: Target::new(&self.url()?, key)?,
            mix,
            connections,
            pace,
            stages: self.stages.clone(),
            limit: Limit {
                duration,
                jobs: self.jobs,
            },
            follow,
            settle: time(self.settle, Duration::from_secs(600)),
            timeout: time(self.timeout, Duration::from_secs(30)),
            thresholds: self.fail_if.clone(),
        })
    }

    fn url(&self) -> Result<Url, String> {
        // A variable that is passed on unset is empty.
        let text = self.url.as_deref().filter(|text| !text.is_empty());
        let text = text.unwrap_or(DEFAULT_URL);
        text.parse()
            .map_err(|error| format!("--url is {text:?}: {error}; it must be http://HOST[:PORT]"))
    }

    /// The pace, the connections for it, and how long the stages take.
    fn pace(&self) -> Result<(Pace, u32, Option<Duration>), String> {
        if let Some(wrong) = self.connections.filter(|n| !(1..=60_000).contains(n)) {
            return Err(format!(
                "connections is {wrong}, it must be from 1 to 60000"
            ));
        }
        if let Some(wrong) = self.rate.filter(|n| !(0.001..=1_000_000.0).contains(n)) {
            return Err(format!(
                "--rate is {wrong}; a rate is a number of jobs a second, from 0.001 to 1000000"
            ));
        }
        if self.stages.is_empty() {
            return Ok(match self.rate {
                None => {
                    let connections = self.connections.unwrap_or(64);
                    let callers = Profile::constant(connections.into());
                    (Pace::Closed { callers }, connections, None)
                }
                Some(rate) => {
                    let rate = Profile::constant(rate);
                    (Pace::Open { rate }, self.connections.unwrap_or(256), None)
                }
            });
        }
        let (ramped, total) = stages::together(&self.stages)?;
        let begin = match (ramped, self.rate) {
            (Ramped::Rate, rate) => rate.unwrap_or(0.0),
            (Ramped::Connections, None) => self.connections.unwrap_or(0).into(),
            (Ramped::Connections, Some(_)) => {
                return Err(
                    "--rate is of an open loop, and the stages change the connections of \
                            a closed one; stage the rate, as in 30s:200"
                        .to_owned(),
                );
            }
        };
        let steps: Vec<_> = self
            .stages
            .iter()
            .map(|stage| (stage.over, stage.to))
            .collect();
        let profile = Profile::staged(begin, &steps);
        let peak = profile.peak();
        if profile.area_until(total) < 1.0 || peak <= 0.0 {
            return Err("--stage: all of them together ask for no job".to_owned());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a stage has from 0 to 60,000 connections"
        )]
        let callers = peak as u32;
        Ok(match ramped {
            Ramped::Rate => (
                Pace::Open { rate: profile },
                self.connections.unwrap_or(256),
                Some(total),
            ),
            Ramped::Connections => (Pace::Closed { callers: profile }, callers, Some(total)),
        })
    }

    fn follow(&self) -> Result<Follow, String> {
        let wait = self.wait.unwrap_or(Wait::LongPoll);
        match (wait, self.drain) {
            (Wait::None, drain) => Ok(Follow::Not { drain }),
            (_, true) => Err(
                "--drain needs --wait none: jobs that are followed are seen to \
                              their end anyway"
                    .to_owned(),
            ),
            (Wait::LongPoll, false) => Ok(Follow::LongPoll),
            (Wait::Events, false) => Ok(Follow::Events),
            (Wait::Submit, false) => Ok(Follow::Submit),
            (Wait::Poll, false) => Ok(Follow::Poll {
                every: self
                    .poll_every
                    .map_or(Duration::from_millis(100), |time| time.0),
            }),
        }
    }

    fn mix(&self) -> Result<Mix, String> {
        if !self.mix.is_empty() && (self.kind.is_some() || self.payload.is_some()) {
            let form = "as in --mix 'sleep=1:{\"ms\": 10}'";
            return Err(format!("--mix has kinds and payloads of its own, {form}"));
        }
        let (queue, priority) = (&self.queue, self.priority);
        let with_defaults = |mut wish: Wish| {
            wish.queue = wish.queue.or_else(|| queue.clone());
            let priority = || priority.map(|priority| priority.as_str().to_owned());
            wish.priority = wish.priority.or_else(priority);
            wish
        };
        let wishes: Vec<Wish> = if !self.mix.is_empty() {
            self.mix.clone()
        } else if !self.jobs_of_file.is_empty() {
            let jobs = self.jobs_of_file.iter().cloned();
            jobs.map(JobOfFile::into_wish).collect::<Result<_, _>>()?
        } else {
            vec![self.only_kind()?]
        };
        let wishes: Vec<Wish> = wishes.into_iter().map(with_defaults).collect();
        Mix::of(&wishes)
    }

    fn only_kind(&self) -> Result<Wish, String> {
        let kind = match &self.kind {
            Some(kind) => kind.clone(),
            None => "sleep".parse().map_err(|error| format!("{error}"))?,
        };
        if self.payload.is_none() && kind.as_str() != "sleep" {
            return Err(format!("--kind {kind} needs a --payload"));
        }
        let payload = self.payload.as_deref();
        let payload = payload.map(|text| read_payload("--payload", text));
        Ok(Wish {
            name: None,
            kind,
            weight: 1,
            payload: payload.transpose()?,
            queue: None,
            priority: None,
        })
    }
}
