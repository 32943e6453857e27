//! The axes of a chart: where their marks are, and what these say.

use crate::load::report::{grouped, rounded};

/// The marks on an axis that there are at most.
const MOST_MARKS: usize = 6;

/// Distances between two marks of time that people like, in seconds.
const TIME_STEPS: [f64; 17] = [
    0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0,
    7_200.0, 21_600.0, 86_400.0,
];

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    PerSecond,
    Jobs,
    Errors,
}

impl Unit {
    /// A value as people write it.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Milliseconds => milliseconds(value),
            Self::PerSecond => format!("{}/s", number(value)),
            Self::Jobs | Self::Errors => number(value),
        }
    }
}

/// A vertical axis.
#[derive(Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    pub(super) marks: Vec<f64>,
}

impl Scale {
    /// From nothing to the highest of these values.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let highest = values.fold(0.0, f64::max);
        let step = round_step(if highest > 0.0 { highest / 4.0 } else { 0.25 });
        let count = (highest / step).ceil().max(1.0);
        let marks = std::iter::successors(Some(0.0), |mark| Some(mark + step));
        Self {
            low: 0.0,
            high: step * count,
            is_logarithmic: false,
            marks: marks
                .take_while(|mark| *mark <= step * (count + 0.5))
                .collect(),
        }
    }

    /// Where the values are far apart, each tenfold takes the same height; else like `linear`.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Self {
        let highest = values.clone().fold(0.0, f64::max);
        let lowest = values
            .clone()
            .filter(|value| *value > 0.0)
            .fold(highest, f64::min);
        if highest <= 0.0 || highest / lowest < 20.0 {
            return Self::linear(values);
        }
        let (low, high) = (lowest.log10().floor(), highest.log10().ceil());
        let every = (((high - low) / 5.0).ceil()).max(1.0);
        let decades = std::iter::successors(Some(low), |decade| Some(decade + every));
        Self {
            low: 10_f64.powf(low),
            high: 10_f64.powf(high),
            is_logarithmic: true,
            marks: decades
                .take_while(|decade| *decade <= high + 0.5)
                .map(|decade| 10_f64.powf(decade))
                .collect(),
        }
    }

    pub(super) const fn is_logarithmic(&self) -> bool {
        self.is_logarithmic
    }

    /// How high a value is, from 0 to 1.
    pub(super) fn height(&self, value: f64) -> f64 {
        let height = if self.is_logarithmic {
            let value = value.max(self.low);
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        height.clamp(0.0, 1.0)
    }
}

/// The smallest of 1, 2 and 5, times a power of ten, that is at least this.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let fits = steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9));
    fits.unwrap_or(10.0 * power)
}

/// Marks on an axis of time up to here.
pub(super) fn time_marks(end_s: f64) -> Vec<f64> {
    let fits = |step: &f64| end_s / step < 5.5;
    let longer = || round_step(end_s / 5.0 / 86_400.0) * 86_400.0;
    let step = TIME_STEPS.into_iter().find(fits).unwrap_or_else(longer);
    let marks = std::iter::successors(Some(0.0), |mark| Some(mark + step));
    let marks = marks.take_while(|mark| *mark <= end_s * (1.0 + 1e-9));
    marks.take(MOST_MARKS).collect()
}

/// A time since the start, in two units at most.
pub(super) fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{} s", short(seconds));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor near 2^64"
    )]
    let whole = seconds.round() as u64;
    let (large, small, units) = match whole {
        ..3_600 => (whole / 60, whole % 60, ["m", "s"]),
        3_600..86_400 => (whole / 3_600, whole % 3_600 / 60, ["h", "m"]),
        _ => (whole / 86_400, whole % 86_400 / 3_600, ["d", "h"]),
    };
    match small {
        0 => format!("{large}{}", units[0]),
        _ => format!("{large}{} {small}{}", units[0], units[1]),
    }
}

/// A latency, in the unit that fits it.
pub(super) fn milliseconds(value: f64) -> String {
    match value {
        ..0.001 => "0 ms".to_owned(),
        ..1.0 => format!("{} µs", short(value * 1_000.0)),
        ..1_000.0 => format!("{} ms", short(value)),
        ..120_000.0 => format!("{} s", short(value / 1_000.0)),
        _ => time(value / 1_000.0),
    }
}

fn number(value: f64) -> String {
    if value >= 1_000.0 {
        rounded(value)
    } else {
        short(value)
    }
}

/// Three digits that count, and no zeros after the point.
fn short(value: f64) -> String {
    if value >= 1_000.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "neither negative nor near 2^64"
        )]
        return grouped(value.round() as u64);
    }
    let text = match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_the_highest_value_fits() {
        for (highest, marks) in [
            (0.0, &[0.0, 0.5] as &[f64]),
            (1.0, &[0.0, 0.5, 1.0]),
            (64.0, &[0.0, 20.0, 40.0, 60.0, 80.0]),
            (10_000.0, &[0.0, 5_000.0, 10_000.0]),
            (16_995.0, &[0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]),
        ] {
            let scale = Scale::linear([highest].into_iter());
            assert_eq!(scale.marks, marks, "{highest}");
            assert!(scale.height(highest) <= 1.0);
            assert!((scale.height(*marks.last().unwrap()) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn latencies_far_apart_have_a_mark_for_each_tenfold() {
        let scale = Scale::logarithmic([3.0, 4_200.0].into_iter());
        assert_eq!(scale.marks, [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
        assert!((scale.height(100.0) - 0.5).abs() < 1e-9);
        assert!(!Scale::logarithmic([20.0, 30.0].into_iter()).is_logarithmic());
        assert!(!Scale::logarithmic(std::iter::empty()).is_logarithmic());
    }

    #[test]
    fn times_have_few_marks() {
        assert_eq!(time_marks(30.0), [0.0, 10.0, 20.0, 30.0]);
        assert_eq!(time_marks(1.2), [0.0, 0.5, 1.0]);
        for end_s in [0.1, 3.0, 17.0, 61.0, 599.0, 7_000.0, 1e5, 1e6, 3e7] {
            let count = time_marks(end_s).len();
            assert!((1..=MOST_MARKS).contains(&count), "{end_s}: {count}");
        }
    }

    #[test]
    fn figures_are_as_long_as_they_must_be() {
        for (value, text) in [
            (0.0, "0 ms"),
            (0.25, "250 µs"),
            (1.5, "1.5 ms"),
            (20.0, "20 ms"),
            (123.4, "123 ms"),
            (20_034.0, "20 s"),
            (180_000.0, "3m"),
        ] {
            assert_eq!(milliseconds(value), text);
        }
        for (seconds, text) in [
            (0.4, "0.4 s"),
            (90.0, "1m 30s"),
            (3_600.0, "1h"),
            (9e4, "1d 1h"),
        ] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!(Unit::PerSecond.write(16_995.2), "16,995/s");
        assert_eq!(Unit::Jobs.write(0.5), "0.5");
    }
}
