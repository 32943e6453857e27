//! The clock, passed in wherever time matters.
//!
//! Every process derives its time from the database's clock, so that two processes whose wall
//! clocks disagree still agree on when a job is due. The wall clock itself is banned by
//! `clippy.toml`; [`SystemClock`] is the one place that reads it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::timestamp::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// A clock that is set from outside and runs on this machine's monotonic clock in between.
///
/// It is set to the database's time when the store is opened and every few seconds after, so
/// neither a wrong wall clock nor a jump of it reaches a job.
#[derive(Clone, Debug)]
pub struct SynchronisedClock {
    origin: Instant,
    /// Microseconds since the epoch at `origin`.
    offset: Arc<AtomicI64>,
}

impl SynchronisedClock {
    /// A clock that shows `now` at this moment.
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            origin: Instant::now(),
            offset: Arc::new(AtomicI64::new(now.microseconds())),
        }
    }

    /// Sets the clock: the other side's clock showed `reading` some time between `asked` and now.
    pub fn synchronise(&self, asked: Instant, reading: Timestamp) {
        let halfway = asked.elapsed() / 2;
        let since_origin = self.origin.elapsed();
        let offset = reading.after(halfway).microseconds() - microseconds(since_origin);
        self.offset.store(offset, Ordering::Relaxed);
    }
}

impl Clock for SynchronisedClock {
    fn now(&self) -> Timestamp {
        let offset = self.offset.load(Ordering::Relaxed);
        Timestamp::from_microseconds(offset.saturating_add(microseconds(self.origin.elapsed())))
    }
}

/// This machine's wall clock. Right only where there is no other machine to agree with.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Timestamp::from_microseconds(microseconds(since_epoch))
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synchronised_clock_follows_the_reading_it_was_given() {
        let clock = SynchronisedClock::starting_at(Timestamp::from_microseconds(0));
        let reading: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        clock.synchronise(Instant::now(), reading);
        assert!(clock.now().since(reading) < Duration::from_secs(5));
        assert!(clock.now() >= reading);
    }
}
