//! When a client should come back: one place for every `Retry-After` about a job.

use std::time::Duration;

use coatcheck_shared::{
    job::{Job, State},
    timestamp::Timestamp,
};

/// Neither so soon that polling is a load, nor so late that the answer is old.
const SHORTEST_S: u64 = 1;
const LONGEST_S: u64 = 30;

/// A job that has taken so long is expected to take a tenth of that again.
const SHARE_OF_AGE: u32 = 10;

/// Seconds after which it is worth asking for a job again; none once it is finished.
pub(crate) fn seconds(job: &Job, now: Timestamp) -> Option<u64> {
    let pause = match job.lifecycle.state {
        State::Scheduled => job.run_at.since(now),
        State::Queued => now.since(job.run_at) / SHARE_OF_AGE,
        State::Running => now.since(job.started_at.unwrap_or(job.run_at)) / SHARE_OF_AGE,
        State::Succeeded | State::Failed | State::Cancelled => return None,
    };
    Some(rounded_up(pause).clamp(SHORTEST_S, LONGEST_S))
}

fn rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
