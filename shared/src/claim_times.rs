//! The times of a worker's claims.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::timestamp::Timestamp;

/// The times of one worker's claims: never one twice, for the time tells a claim that is asked again
/// from another one.
#[derive(Debug, Default)]
pub struct ClaimTimes {
    /// In microseconds since the epoch.
    latest: AtomicI64,
}

impl ClaimTimes {
    /// The time of a claim that is made now: `now`, or a little later where it has been used.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let now = now.microseconds();
        let later = |latest: i64| now.max(latest + 1);
        let latest = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| {
                Some(later(latest))
            });
        Timestamp::from_microseconds(later(latest.unwrap_or_else(|latest| latest)))
    }
}
