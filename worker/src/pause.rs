//! Pauses between tries of something outside that has failed.

use std::time::Duration;

use rand::RngExt;

/// Pauses that grow twofold from the shortest to the longest, each taken at random between its
/// half and itself, so that processes that failed together do not come back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    pub(crate) const fn between(shortest: Duration, longest: Duration) -> Self {
        Self {
            next: shortest,
            longest,
        }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        jittered(pause)
    }
}

/// Between half of a duration and the whole of it.
pub(crate) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.5..=1.0))
}
