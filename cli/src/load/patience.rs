//! How long a job is followed whose server fails.

use std::time::{Duration, Instant};

/// The first pause after a look that failed; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest of them: a server that is away is not hammered, and soon found again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The patience with looks that fail one after the other.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    failing_since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// Patience for failures that go on no longer than this.
    pub(crate) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            failing_since: None,
            pause: FIRST_PAUSE,
        }
    }

    /// A look went well.
    pub(crate) const fn renew(&mut self) {
        self.failing_since = None;
        self.pause = FIRST_PAUSE;
    }

    /// A look failed at `now`: the pause before the next, unless the patience is over.
    pub(crate) fn lose(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.failing_since.get_or_insert(now);
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (now.saturating_duration_since(since) < self.limit).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_failures_go_on_and_is_renewed_by_one_success() {
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        let mut patience = Patience::new(10 * second);
        let pauses: Vec<_> = (0..6)
            .map(|_| patience.lose(begin).unwrap().as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000]);
        assert!(patience.lose(begin + 9 * second).is_some());
        patience.renew();
        assert_eq!(patience.lose(begin + 11 * second), Some(FIRST_PAUSE));
        assert_eq!(patience.lose(begin + 21 * second), None);
    }
}
