//! The pause before the next attempt.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::Deserialize;

/// How the pauses between attempts grow.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The shortest pause, in seconds.
    pub base_s: f64,
    /// The longest pause, in seconds.
    pub cap_s: f64,
}

impl Backoff {
    /// Decorrelated jitter: `min(cap, uniform(base, 3 · previous))`. Jobs that failed together do
    /// not come back together, and pauses grow threefold at most.
    pub fn next(&self, previous: Option<Duration>, random: &mut impl Rng) -> Duration {
        let base = self.base_s;
        let previous = previous.map_or(base, |pause| pause.as_secs_f64());
        let upper = (3.0 * previous).clamp(base, 3.0 * self.cap_s.max(base));
        let pause = if upper > base {
            random.random_range(base..upper)
        } else {
            base
        };
        Duration::from_secs_f64(pause.min(self.cap_s))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    proptest! {
        #[test]
        fn a_pause_is_between_base_and_cap_and_at_most_thrice_the_one_before(
            seed: u64,
            base_s in 0.001_f64..10.0,
            factor in 1.0_f64..1000.0,
        ) {
            let backoff = Backoff { base_s, cap_s: base_s * factor };
            let mut random = StdRng::seed_from_u64(seed);
            let mut previous = None;
            for _ in 0..50 {
                let pause = backoff.next(previous, &mut random).as_secs_f64();
                let limit = previous.map_or(base_s, |pause: Duration| pause.as_secs_f64()) * 3.0;
                prop_assert!(pause >= base_s * 0.999_999);
                prop_assert!(pause <= backoff.cap_s * 1.000_001);
                prop_assert!(pause <= limit.max(base_s) * 1.000_001);
                previous = Some(Duration::from_secs_f64(pause));
            }
        }
    }
}
