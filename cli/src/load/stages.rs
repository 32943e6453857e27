//! `--stage 30s:200`: the parts of a load test, as they are written.

use std::{str::FromStr, time::Duration};

/// How a stage is written.
const FORM: &str = "a stage is TIME:N for N jobs a second, or TIME:Nc for N connections, like \
                    30s:200 or 1m:64c";

/// What a stage changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ramped {
    /// Jobs a second.
    Rate,
    /// Callers of a closed loop.
    Connections,
}

/// One part of a load test: on to this value, evenly, in this time.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Stage {
    pub(crate) over: Duration,
    pub(crate) to: f64,
    pub(crate) ramped: Ramped,
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (time, value) = text
            .split_once(':')
            .ok_or_else(|| format!("it says only how long, or only how much: {FORM}"))?;
        let over = match time.trim() {
            "0" => Duration::ZERO,
            time => humantime::parse_duration(time)
                .map_err(|error| format!("{time:?} is no time: {error}; {FORM}"))?,
        };
        let value = value.trim();
        let (number, ramped) = match value.strip_suffix('c') {
            Some(number) => (number, Ramped::Connections),
            None => (value.strip_suffix("/s").unwrap_or(value), Ramped::Rate),
        };
        let most = match ramped {
            Ramped::Rate => 1_000_000.0,
            Ramped::Connections => 60_000.0,
        };
        match number.parse::<f64>() {
            Ok(to) if (0.0..=most).contains(&to) => match ramped {
                Ramped::Connections if to.fract() != 0.0 => {
                    Err(format!("there are whole connections only: {FORM}"))
                }
                _ => Ok(Self { over, to, ramped }),
            },
            Ok(_) => Err(format!("{number} is not in 0 to {most}: {FORM}")),
            Err(_) => Err(format!("{value:?} is no number: {FORM}")),
        }
    }
}

impl TryFrom<String> for Stage {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|reason| format!("{text:?}: {reason}"))
    }
}

/// What all of these change, and how long they take together.
///
/// # Errors
/// Where they change different things, take no time, or never ask for any job.
pub(crate) fn together(stages: &[Stage]) -> Result<(Ramped, Duration), String> {
    let ramped = stages.first().map_or(Ramped::Rate, |stage| stage.ramped);
    if stages.iter().any(|stage| stage.ramped != ramped) {
        return Err(
            "--stage: jobs a second (30s:200) and connections (30s:64c) cannot both be staged in \
             one run"
                .to_owned(),
        );
    }
    let total = stages
        .iter()
        .try_fold(Duration::ZERO, |sum, stage| sum.checked_add(stage.over))
        .filter(|total| total.as_secs() < 366 * 86_400)
        .ok_or("--stage: together they take longer than a year")?;
    if total.is_zero() {
        return Err(
            "--stage: together they take no time; give one of them some, as in 30s:200".to_owned(),
        );
    }
    Ok((ramped, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_a_time_and_a_target() {
        let stage = |over, to, ramped| Stage {
            over: Duration::from_secs(over),
            to,
            ramped,
        };
        for (text, expected) in [
            ("30s:200", stage(30, 200.0, Ramped::Rate)),
            ("1m30s:0.5", stage(90, 0.5, Ramped::Rate)),
            ("1m: 1000/s", stage(60, 1_000.0, Ramped::Rate)),
            ("0s:50", stage(0, 50.0, Ramped::Rate)),
            ("0:50", stage(0, 50.0, Ramped::Rate)),
            ("2m:64c", stage(120, 64.0, Ramped::Connections)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_wrong_stage_is_told_what_is_wrong_and_what_would_be_right() {
        for (text, reason) in [
            ("30s", "only how long, or only how much"),
            ("200", "only how long, or only how much"),
            ("30:200", "\"30\" is no time"),
            ("soon:200", "\"soon\" is no time"),
            ("30s:", "\"\" is no number"),
            ("30s:many", "\"many\" is no number"),
            ("30s:-1", "-1 is not in 0 to 1000000"),
            ("30s:NaN", "NaN is not in"),
            ("30s:70000c", "70000 is not in 0 to 60000"),
            ("30s:1.5c", "whole connections only"),
        ] {
            let error = text.parse::<Stage>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("like 30s:200"), "{text}: {error}");
        }
    }

    #[test]
    fn stages_of_one_run_change_one_thing() {
        let stages = |texts: &[&str]| -> Vec<Stage> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(
            together(&stages(&["30s:5c", "1m:0c"])),
            Ok((Ramped::Connections, Duration::from_secs(90)))
        );
        for (texts, reason) in [
            (&["30s:5c", "1m:5"] as &[&str], "cannot both be staged"),
            (&["0s:5", "0:10"], "take no time"),
            (&["300d:5", "300d:10"], "longer than a year"),
        ] {
            assert!(together(&stages(texts)).unwrap_err().contains(reason));
        }
    }
}
