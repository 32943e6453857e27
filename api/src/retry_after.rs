//! When a client should come back: one place for every `Retry-After` about a job.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use coatcheck_shared::{
    job::{Job, KindName, State},
    timestamp::Timestamp,
};

use crate::api::Api;

/// Neither so soon that polling is a load, nor so late that the answer is old.
const SHORTEST_S: u64 = 1;
const LONGEST_S: u64 = 30;

/// A job that has taken so long is expected to take a tenth of that again.
const SHARE_OF_AGE: u32 = 10;

/// How many waiting jobs are taken to be begun in a second: few for workers that keep up, so that
/// clients stay away rather longer while a backlog is worked off.
const BEGUN_PER_S: u64 = 1_000;

/// How much a job that was just finished counts among those before it.
const WEIGHT_OF_LATEST: f64 = 0.125;

/// Jobs that ended longer ago say nothing of how long they take now.
const LATEST: Duration = Duration::from_secs(60);

/// How many kinds are followed.
const MOST_KINDS: usize = 10_000;

/// How long jobs of a kind usually run, learnt from those that clients of this process have seen
/// succeed.
#[derive(Default)]
pub(crate) struct RunTimes(RwLock<HashMap<KindName, Duration>>);

impl RunTimes {
    fn learn(&self, kind: &KindName, latest: Duration) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(usual) = known.get_mut(kind) {
            *usual = usual.mul_f64(1.0 - WEIGHT_OF_LATEST) + latest.mul_f64(WEIGHT_OF_LATEST);
        } else if known.len() < MOST_KINDS {
            known.insert(kind.clone(), latest);
        }
    }

    fn usual(&self, kind: &KindName) -> Duration {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(kind).copied().unwrap_or_default()
    }
}

/// Seconds after which it is worth asking for a job again; none once it is finished.
pub(crate) fn seconds(api: &Api, job: &Job) -> Option<u64> {
    let now = api.now();
    if job.lifecycle.state.is_terminal() {
        if let Some(took) = run_time(job, now) {
            api.run_times.learn(&job.kind, took);
        }
        return None;
    }
    let waiting = match job.lifecycle.state {
        State::Queued => api.depths.waiting(&job.queue),
        _ => 0,
    };
    let pause = pause(job, now, api.run_times.usual(&job.kind), waiting);
    Some(rounded(pause))
}

/// Seconds after which it is worth trying again where so many jobs wait.
pub(crate) fn for_waiting(waiting: u64) -> u64 {
    rounded(to_begin(waiting))
}

/// How long a job ran that has just succeeded.
fn run_time(job: &Job, now: Timestamp) -> Option<Duration> {
    let (started_at, finished_at) = (job.started_at?, job.finished_at?);
    (job.lifecycle.state == State::Succeeded && now.since(finished_at) < LATEST)
        .then(|| finished_at.since(started_at))
}

fn pause(job: &Job, now: Timestamp, usual: Duration, waiting: u64) -> Duration {
    match job.lifecycle.state {
        State::Scheduled => job.run_at.since(now) + usual,
        State::Queued => (to_begin(waiting) + usual).max(now.since(job.run_at) / SHARE_OF_AGE),
        State::Running => {
            let age = now.since(job.started_at.unwrap_or(job.run_at));
            usual.checked_sub(age).unwrap_or(age / SHARE_OF_AGE)
        }
        State::Succeeded | State::Failed | State::Cancelled => Duration::ZERO,
    }
}

fn to_begin(waiting: u64) -> Duration {
    Duration::from_millis(waiting.saturating_mul(1_000) / BEGUN_PER_S)
}

fn rounded(pause: Duration) -> u64 {
    let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
    seconds.clamp(SHORTEST_S, LONGEST_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jobs_usually_take_follows_the_latest_slowly() {
        let times = RunTimes::default();
        let kind: KindName = "sleep".parse().unwrap();
        assert_eq!(times.usual(&kind), Duration::ZERO);
        times.learn(&kind, Duration::from_secs(8));
        assert_eq!(times.usual(&kind), Duration::from_secs(8));
        times.learn(&kind, Duration::from_secs(16));
        assert_eq!(times.usual(&kind), Duration::from_secs(9));
        assert_eq!(times.usual(&"other".parse().unwrap()), Duration::ZERO);
    }

    #[test]
    fn the_pause_grows_with_the_depth_within_its_bounds() {
        for (waiting, seconds) in [(0, 1), (1_000, 1), (5_001, 6), (1_000_000, 30)] {
            assert_eq!(for_waiting(waiting), seconds, "{waiting}");
        }
        assert_eq!(rounded(Duration::from_millis(1_001)), 2);
    }
}
