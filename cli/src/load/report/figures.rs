//! Figures: how they come about, and how people write them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Of latencies, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// The quantiles of latencies in microseconds, if there are any.
pub(super) fn quantiles(histogram: &Histogram<u64>) -> Option<Quantiles> {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
    let value = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    (!histogram.is_empty()).then(|| Quantiles {
        count: histogram.len(),
        mean: histogram.mean() / 1_000.0,
        p50: value(0.5),
        p90: value(0.9),
        p95: value(0.95),
        p99: value(0.99),
        p999: value(0.999),
        max: value(1.0),
    })
}

/// How many a second; nothing, where no time is known.
pub(crate) fn per_second(count: u64, time_s: Option<f64>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
    let count = count as f64;
    time_s
        .filter(|time| *time > 0.0)
        .map_or(0.0, |time| count / time)
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, without decimals where it is large.
pub(crate) fn rounded(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor near 2^64"
    )]
    grouped(rate.round() as u64)
}
