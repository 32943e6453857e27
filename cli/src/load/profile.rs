//! How a rate, or a number of callers, changes while a load test runs.

use std::time::Duration;

/// A straight piece: from one value to another in this time.
#[derive(Clone, Copy, Debug)]
struct Piece {
    begins_s: f64,
    length_s: f64,
    from: f64,
    /// The change in a second.
    slope: f64,
    /// What lies under all pieces before it.
    area_before: f64,
}

impl Piece {
    fn area_after(&self, seconds: f64) -> f64 {
        seconds * (self.from + self.slope * seconds / 2.0)
    }

    /// When so much lies under it, from its begin.
    fn when_area_is(&self, area: f64) -> f64 {
        if area <= 0.0 {
            return 0.0;
        }
        // The root of the quadratic in the form that is exact for a slope of nothing, too.
        let root = (self.from * self.from + 2.0 * self.slope * area).max(0.0);
        2.0 * area / (self.from + root.sqrt())
    }
}

/// A value over time, of straight pieces, that stays as it is after the last.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pieces: Vec<Piece>,
}

impl Profile {
    /// The same value at all times.
    pub(crate) fn constant(value: f64) -> Self {
        Self::staged(value, &[])
    }

    /// From a value to each of these in turn, each in its time.
    pub(crate) fn staged(start: f64, stages: &[(Duration, f64)]) -> Self {
        let (mut from, mut begins_s, mut area_before) = (start, 0.0, 0.0);
        let mut pieces = Vec::with_capacity(stages.len() + 1);
        for (over, to) in stages {
            let length_s = over.as_secs_f64();
            // A stage of no time is a jump.
            if length_s > 0.0 {
                let piece = Piece {
                    begins_s,
                    length_s,
                    from,
                    slope: (to - from) / length_s,
                    area_before,
                };
                area_before += piece.area_after(length_s);
                begins_s += length_s;
                pieces.push(piece);
            }
            from = *to;
        }
        pieces.push(Piece {
            begins_s,
            length_s: f64::INFINITY,
            from,
            slope: 0.0,
            area_before,
        });
        Self { pieces }
    }

    fn piece_at(&self, seconds: f64) -> &Piece {
        let after = self
            .pieces
            .partition_point(|piece| piece.begins_s <= seconds);
        &self.pieces[after.saturating_sub(1)]
    }

    /// The value at a time since the start.
    pub(crate) fn value_at(&self, time: Duration) -> f64 {
        let piece = self.piece_at(time.as_secs_f64());
        piece.from + piece.slope * (time.as_secs_f64() - piece.begins_s)
    }

    /// What lies under it up to a time: of a rate, how many have come.
    pub(crate) fn area_until(&self, time: Duration) -> f64 {
        let piece = self.piece_at(time.as_secs_f64());
        piece.area_before + piece.area_after(time.as_secs_f64() - piece.begins_s)
    }

    /// When so much lies under it; never, where it stays at nothing before.
    pub(crate) fn when_area_is(&self, area: f64) -> Option<Duration> {
        let after = self
            .pieces
            .partition_point(|piece| piece.area_before <= area);
        // Of several that begin with this area the last: those before it are at nothing.
        let piece = &self.pieces[after.saturating_sub(1)];
        let seconds = piece.when_area_is(area - piece.area_before);
        let seconds = seconds.min(piece.length_s);
        Duration::try_from_secs_f64(piece.begins_s + seconds).ok()
    }

    /// The first time from `time` on at which the value is at least this; none, if never.
    pub(crate) fn when_at_least(&self, value: f64, time: Duration) -> Option<Duration> {
        let now_s = time.as_secs_f64();
        for piece in &self.pieces {
            let ends_s = piece.begins_s + piece.length_s;
            if ends_s < now_s {
                continue;
            }
            let from_s = now_s.max(piece.begins_s);
            if piece.from + piece.slope * (from_s - piece.begins_s) >= value {
                return Some(time.max(Duration::from_secs_f64(piece.begins_s)));
            }
            if piece.slope > 0.0 {
                let reached_s = piece.begins_s + (value - piece.from) / piece.slope;
                if reached_s <= ends_s {
                    return Duration::try_from_secs_f64(reached_s).ok();
                }
            }
        }
        None
    }

    /// The highest value that it ever has.
    pub(crate) fn peak(&self) -> f64 {
        let values = self.pieces.iter().map(|piece| {
            let end = if piece.length_s.is_finite() {
                piece.slope * piece.length_s
            } else {
                0.0
            };
            piece.from.max(piece.from + end)
        });
        values.fold(0.0, f64::max)
    }

    /// The value, if it is the same at all times.
    pub(crate) fn steady(&self) -> Option<f64> {
        match self.pieces.as_slice() {
            [only] => Some(only.from),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-6
    }

    #[test]
    fn stages_lead_from_value_to_value() {
        let profile = Profile::staged(0.0, &[(s(10.0), 100.0), (s(5.0), 100.0), (s(10.0), 0.0)]);
        for (time, value, area) in [
            (0.0, 0.0, 0.0),
            (5.0, 50.0, 125.0),
            (10.0, 100.0, 500.0),
            (12.0, 100.0, 700.0),
            (15.0, 100.0, 1_000.0),
            (20.0, 50.0, 1_375.0),
            (25.0, 0.0, 1_500.0),
            (99.0, 0.0, 1_500.0),
        ] {
            assert!(close(profile.value_at(s(time)), value), "{time}");
            assert!(close(profile.area_until(s(time)), area), "{time}");
        }
        assert!(close(profile.peak(), 100.0));
        assert_eq!(profile.steady(), None);
        assert_eq!(Profile::constant(3.0).steady(), Some(3.0));
    }

    #[test]
    fn a_stage_of_no_time_is_a_jump() {
        let profile = Profile::staged(10.0, &[(s(1.0), 10.0), (s(0.0), 500.0), (s(1.0), 500.0)]);
        assert!(close(profile.value_at(s(0.9)), 10.0));
        assert!(close(profile.value_at(s(1.0)), 500.0));
        assert!(close(profile.area_until(s(2.0)), 510.0));
    }

    #[test]
    fn every_area_is_found_again_by_its_time() {
        let profiles = [
            Profile::constant(250.0),
            Profile::staged(0.0, &[(s(3.0), 200.0), (s(4.0), 1_000.0), (s(3.0), 0.0)]),
            Profile::staged(50.0, &[(s(2.0), 0.0), (s(5.0), 0.0), (s(2.0), 80.0)]),
        ];
        for profile in profiles {
            let all = profile.area_until(s(9.5));
            let mut before = Duration::ZERO;
            for step in 0..=1_000 {
                let area = all * f64::from(step) / 1_000.0;
                let time = profile.when_area_is(area).unwrap();
                assert!(time >= before, "{area}: {time:?} after {before:?}");
                let found = profile.area_until(time);
                assert!((found - area).abs() < 1e-3, "{area} is {found} at {time:?}");
                before = time;
            }
        }
    }

    #[test]
    fn more_than_all_of_it_never_comes() {
        let profile = Profile::staged(0.0, &[(s(2.0), 10.0), (s(2.0), 0.0)]);
        assert_eq!(profile.when_area_is(20.5), None);
        assert_eq!(Profile::constant(0.0).when_area_is(1.0), None);
    }

    #[test]
    fn nothing_comes_while_it_is_at_nothing() {
        let profile = Profile::staged(0.0, &[(s(3.0), 0.0), (s(2.0), 10.0)]);
        assert_eq!(profile.when_area_is(0.0), Some(s(3.0)));
    }

    #[test]
    fn a_value_is_reached_again_after_a_valley() {
        let profile = Profile::staged(
            0.0,
            &[
                (s(10.0), 10.0),
                (s(10.0), 0.0),
                (s(10.0), 10.0),
                (s(10.0), 0.0),
            ],
        );
        let when = |value, from| {
            profile
                .when_at_least(value, s(from))
                .map(|t| t.as_secs_f64())
        };
        assert!(close(when(5.0, 0.0).unwrap(), 5.0));
        assert!(close(when(5.0, 7.0).unwrap(), 7.0));
        assert!(close(when(5.0, 16.0).unwrap(), 25.0));
        assert_eq!(when(5.0, 36.0), None);
        assert_eq!(when(11.0, 0.0), None);
    }
}
