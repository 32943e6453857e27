//! `--fail-if 'p99>2s'`: what makes a run a failure.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::report::{Report, grouped, rounded};

/// How a condition is written.
const FORM: &str = "a condition is a figure, > >= < or <=, and a bound: 'p99>2s', 'post.p90>=50ms', \
                    'error_rate>1%', 'throughput<500', 'lost>0'";

/// What it can be about.
const FIGURES: &str = "p50, p90, p95, p99, p99.9, max or mean (with post. or post_to_result. \
                       before it), error_rate, errors, failed, lost, late, throughput, \
                       accepted_per_s, finished_per_s";

/// A latency of which quantiles are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latency {
    /// Until a submission is answered.
    Post,
    /// Until its job is seen finished.
    Result,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// None is said: that of the result, where jobs are followed.
    Latency(Option<Latency>, Quantile),
    ErrorRate,
    Errors,
    Failed,
    Lost,
    Late,
    Accepted,
    Finished,
    /// Finished where jobs are followed, else accepted.
    Throughput,
}

/// Of all latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantile {
    P50,
    P90,
    P95,
    P99,
    P999,
    Max,
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "ratio")]
    Ratio,
    #[serde(rename = "count")]
    Count,
    #[serde(rename = "per_s")]
    PerSecond,
}

/// A condition under which a run has failed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Threshold {
    text: String,
    /// The part of the mix that it is about; all of it, where none is said.
    part: Option<String>,
    figure: Figure,
    comparison: Comparison,
    bound: f64,
}

/// What became of a condition.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// As it was written.
    pub(crate) fail_if: String,
    /// Whether the run has failed by it. What was never measured has.
    pub(crate) crossed: bool,
    pub(crate) value: Option<f64>,
    pub(crate) unit: Unit,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| format!("it compares nothing: {FORM}"))?;
        let (subject, rest) = text.split_at(at);
        let (comparison, bound) = Comparison::split(rest);
        let (part, name) = match subject.rsplit_once(':') {
            Some((part, name)) => (Some(part.trim().to_owned()), name.trim()),
            None => (None, subject.trim()),
        };
        let figure = Figure::of(name)
            .ok_or_else(|| format!("{name:?} is no figure; there are {FIGURES}"))?;
        if part.is_some() && figure.is_of_the_whole_run() {
            return Err(format!(
                "{name} is not told apart by kind; latencies, failed, lost and throughput are"
            ));
        }
        Ok(Self {
            text: text.trim().to_owned(),
            part,
            figure,
            comparison,
            bound: figure.bound(name, bound.trim())?,
        })
    }
}

impl TryFrom<String> for Threshold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|reason| format!("{text:?}: {reason}"))
    }
}

impl Comparison {
    /// The comparison that the text begins with, and what comes after it.
    fn split(text: &str) -> (Self, &str) {
        let (sign, rest) = text.split_at(1);
        match (sign, rest.strip_prefix('=')) {
            (">", None) => (Self::Above, rest),
            (">", Some(rest)) => (Self::AtLeast, rest),
            (_, None) => (Self::Below, rest),
            (_, Some(rest)) => (Self::AtMost, rest),
        }
    }

    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
        }
    }
}

impl Figure {
    fn of(name: &str) -> Option<Self> {
        let simple = match name {
            "error_rate" => Some(Self::ErrorRate),
            "errors" => Some(Self::Errors),
            "failed" => Some(Self::Failed),
            "lost" => Some(Self::Lost),
            "late" => Some(Self::Late),
            "throughput" => Some(Self::Throughput),
            "accepted_per_s" => Some(Self::Accepted),
            "finished_per_s" => Some(Self::Finished),
            _ => None,
        };
        let latency = || {
            let (latency, quantile) = match name.split_once('.') {
                Some(("post" | "accept", quantile)) => (Some(Latency::Post), quantile),
                Some(("post_to_result" | "result", quantile)) => (Some(Latency::Result), quantile),
                _ => (None, name),
            };
            let quantile = match quantile {
                "p50" => Quantile::P50,
                "p90" => Quantile::P90,
                "p95" => Quantile::P95,
                "p99" => Quantile::P99,
                "p99.9" | "p999" => Quantile::P999,
                "max" => Quantile::Max,
                "mean" => Quantile::Mean,
                _ => return None,
            };
            Some(Self::Latency(latency, quantile))
        };
        simple.or_else(latency)
    }

    const fn is_of_the_whole_run(self) -> bool {
        matches!(self, Self::ErrorRate | Self::Errors | Self::Late)
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Latency(..) => Unit::Milliseconds,
            Self::ErrorRate => Unit::Ratio,
            Self::Errors | Self::Failed | Self::Lost | Self::Late => Unit::Count,
            Self::Accepted | Self::Finished | Self::Throughput => Unit::PerSecond,
        }
    }

    fn bound(self, name: &str, text: &str) -> Result<f64, String> {
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0)
        };
        match self.unit() {
            Unit::Milliseconds => humantime::parse_duration(text)
                .map(|time| time.as_secs_f64() * 1_000.0)
                .map_err(|error| {
                    format!("{name} is a time, {text:?} is none: {error}; like {name}>250ms or {name}>2s")
                }),
            Unit::Ratio => match text.strip_suffix('%') {
                Some(percent) => number(percent).map(|percent| percent / 100.0),
                None => number(text),
            }
            .filter(|ratio| *ratio <= 1.0)
            .ok_or_else(|| {
                format!("{name} is a share, {text:?} is none; like {name}>1% or {name}>0.01")
            }),
            Unit::Count => number(text)
                .ok_or_else(|| format!("{name} is a number, {text:?} is none; like {name}>0")),
            Unit::PerSecond => number(text.strip_suffix("/s").unwrap_or(text)).ok_or_else(|| {
                format!("{name} is a number a second, {text:?} is none; like {name}<500")
            }),
        }
    }
}

impl Threshold {
    /// Whether this run can tell at all.
    ///
    /// # Errors
    /// With one line on what is wrong.
    pub(crate) fn check(&self, parts: &[&str], is_followed: bool) -> Result<(), String> {
        if let Some(part) = self.part.as_deref().filter(|part| !parts.contains(part)) {
            return Err(format!(
                "--fail-if {}: no job has the name {part}; there is {}",
                self.text,
                parts.join(", ")
            ));
        }
        let needs_following = matches!(
            self.figure,
            Figure::Latency(Some(Latency::Result), _)
                | Figure::Finished
                | Figure::Failed
                | Figure::Lost
        );
        if needs_following && !is_followed {
            return Err(format!(
                "--fail-if {}: with --wait none no job is followed, so nobody could tell",
                self.text
            ));
        }
        Ok(())
    }

    /// Whether errors are its matter.
    pub(crate) const fn is_about_errors(&self) -> bool {
        matches!(
            self.figure,
            Figure::ErrorRate | Figure::Errors | Figure::Failed | Figure::Lost
        )
    }

    /// What became of it.
    pub(crate) fn judge(&self, report: &Report) -> Verdict {
        let value = report.figure(self.part.as_deref(), self.figure);
        Verdict {
            fail_if: self.text.clone(),
            crossed: value.is_none_or(|value| self.comparison.holds(value, self.bound)),
            value,
            unit: self.figure.unit(),
        }
    }
}

impl Verdict {
    /// The value as people write it.
    pub(crate) fn measured(&self) -> String {
        let Some(value) = self.value else {
            return "nothing was measured".to_owned();
        };
        match self.unit {
            Unit::Milliseconds if value >= 10_000.0 => format!("{:.2} s", value / 1_000.0),
            Unit::Milliseconds => format!("{value:.2} ms"),
            Unit::Ratio => format!("{:.3} %", value * 100.0),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it was a count"
            )]
            Unit::Count => grouped(value as u64),
            Unit::PerSecond => format!("{}/s", rounded(value)),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.crossed { "FAILED" } else { "ok" };
        write!(out, "{word:<8}{}: {}", self.fail_if, self.measured())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(text: &str) -> Threshold {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_condition_is_a_figure_a_comparison_and_a_bound() {
        use Comparison::{Above, AtLeast, AtMost, Below};
        let p99 = |latency| Figure::Latency(latency, Quantile::P99);
        for (text, figure, comparison, bound) in [
            ("p99>2s", p99(None), Above, 2_000.0),
            ("post.p99 >= 50ms", p99(Some(Latency::Post)), AtLeast, 50.0),
            ("accept.p99>1s", p99(Some(Latency::Post)), Above, 1_000.0),
            (
                "post_to_result.p99>1m",
                p99(Some(Latency::Result)),
                Above,
                60_000.0,
            ),
            (
                "p99.9>1s",
                Figure::Latency(None, Quantile::P999),
                Above,
                1_000.0,
            ),
            (
                "post.p99.9>1s",
                Figure::Latency(Some(Latency::Post), Quantile::P999),
                Above,
                1_000.0,
            ),
            ("error_rate>1%", Figure::ErrorRate, Above, 0.01),
            ("error_rate>0.5", Figure::ErrorRate, Above, 0.5),
            ("throughput<500/s", Figure::Throughput, Below, 500.0),
            ("accepted_per_s<=7.5", Figure::Accepted, AtMost, 7.5),
            ("lost>0", Figure::Lost, Above, 0.0),
        ] {
            let threshold = threshold(text);
            assert_eq!(threshold.figure, figure, "{text}");
            assert_eq!(threshold.comparison, comparison, "{text}");
            assert!((threshold.bound - bound).abs() < 1e-9, "{text}");
            assert_eq!(threshold.part, None, "{text}");
        }
        assert_eq!(threshold("http: p99>2s").part.as_deref(), Some("http"));
    }

    #[test]
    fn a_wrong_condition_is_told_what_is_wrong_and_what_would_be_right() {
        for (text, reason) in [
            ("p99", "it compares nothing: a condition is"),
            ("p99=2s", "it compares nothing"),
            ("p98>2s", "\"p98\" is no figure; there are p50"),
            ("post.p98>2s", "\"post.p98\" is no figure"),
            (">2s", "\"\" is no figure"),
            ("p99>2", "p99 is a time, \"2\" is none"),
            ("p99>", "p99 is a time, \"\" is none"),
            ("error_rate>2", "error_rate>1% or error_rate>0.01"),
            ("error_rate>x%", "is a share"),
            ("lost>some", "lost is a number"),
            ("throughput<-1", "is a number a second"),
            ("sleep:errors>0", "not told apart by kind"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_condition_that_nobody_could_tell_is_refused() {
        for (text, followed, reason) in [
            ("http:p99>2s", true, "there is sleep, command"),
            ("result.p99>2s", false, "--wait none"),
            ("lost>0", false, "--wait none"),
        ] {
            let error = threshold(text).check(&["sleep", "command"], followed);
            assert!(error.unwrap_err().contains(reason), "{text}");
        }
        assert!(threshold("p99>2s").check(&["sleep"], false).is_ok());
        assert!(threshold("sleep:lost>0").check(&["sleep"], true).is_ok());
    }
}
