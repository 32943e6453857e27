//! What a load test found, for people and for programs.

mod figures;
mod moments;
mod table;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

pub(crate) use self::figures::{Quantiles, grouped, per_second, rounded};
use self::figures::{milliseconds, quantiles};
pub(crate) use self::moments::{Moment, Spread};
use super::{
    measurements::{Measurements, PartCounts},
    plan::{Follow, Pace, Plan},
    run::Ending,
    thresholds::{Figure, Latency, Quantile, Verdict},
};

/// What a load test found. As JSON, times are in the unit of their name.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) kind: String,
    pub(crate) pace: &'static str,
    pub(crate) rate: Option<f64>,
    pub(crate) stages: Vec<ReportedStage>,
    pub(crate) connections: u32,
    pub(crate) wait: &'static str,
    pub(crate) elapsed_s: f64,
    pub(crate) interrupted: bool,
    pub(crate) requests: u64,
    pub(crate) submitted: u64,
    pub(crate) accepted: u64,
    pub(crate) accepted_per_s: f64,
    pub(crate) finished: u64,
    pub(crate) finished_per_s: f64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    /// Accepted and followed, and not seen to finish.
    pub(crate) unfinished: u64,
    /// From the start until no job was left.
    pub(crate) drained_s: Option<f64>,
    pub(crate) drained_per_s: Option<f64>,
    pub(crate) errors: BTreeMap<String, ReportedError>,
    pub(crate) late: Option<Late>,
    pub(crate) latency_ms: Latencies,
    /// The parts of the mix.
    pub(crate) jobs: Vec<Part>,
    pub(crate) thresholds: Vec<Verdict>,
    /// What happened when.
    pub(crate) timeline: Vec<Moment>,
    /// Whether errors alone make the run a failure: no threshold is about them.
    #[serde(skip)]
    errors_count: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReportedStage {
    pub(crate) over_s: f64,
    pub(crate) to: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReportedError {
    pub(crate) count: u64,
    pub(crate) example: Option<String>,
}

/// Of an open loop: the jobs that were submitted after their moment.
#[derive(Debug, Serialize)]
pub(crate) struct Late {
    pub(crate) jobs: u64,
    /// Those of them that waited for a connection.
    pub(crate) without_connection: u64,
    pub(crate) longest_ms: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Latencies {
    pub(crate) post: Option<Quantiles>,
    pub(crate) post_to_result: Option<Quantiles>,
}

/// What became of the jobs of one part of the mix.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) weight: u32,
    pub(crate) submitted: u64,
    pub(crate) accepted: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) unfinished: u64,
    pub(crate) latency_ms: Latencies,
}

impl Latencies {
    fn of(counts: &PartCounts) -> Self {
        Self {
            post: quantiles(&counts.post),
            post_to_result: quantiles(&counts.result),
        }
    }
}

impl Report {
    /// What was found.
    pub(crate) fn new(plan: &Plan, measured: &Measurements, ending: Ending, end: Instant) -> Self {
        let mut report = Self::of_counts(plan, measured, end);
        report.interrupted = ending == Ending::Interrupted;
        if ending == Ending::Impatient {
            report.outlast(plan.settle);
        }
        let verdicts = plan.thresholds.iter();
        report.thresholds = verdicts.map(|threshold| threshold.judge(&report)).collect();
        report
    }

    fn of_counts(plan: &Plan, measured: &Measurements, end: Instant) -> Self {
        let since_start = |moment: Instant| {
            moment
                .saturating_duration_since(measured.start)
                .as_secs_f64()
        };
        let all = measured.all();
        let unfinished = unfinished(plan, &all);
        let drained_s = measured.drained.map(since_start);
        let rate = match &plan.pace {
            Pace::Closed { .. } => None,
            Pace::Open { rate } => rate.steady(),
        };
        let is_open = matches!(plan.pace, Pace::Open { .. });
        let elapsed_s = since_start(end);
        Self {
            kind: plan.mix.kinds(),
            pace: if is_open { "open" } else { "closed" },
            rate,
            stages: stages(plan),
            connections: plan.connections,
            wait: plan.follow.name(),
            elapsed_s,
            interrupted: false,
            requests: measured.requests,
            submitted: all.submitted,
            accepted: all.accepted,
            accepted_per_s: per_second(all.accepted, measured.last_answer.map(since_start)),
            finished: all.finished(),
            finished_per_s: per_second(all.finished(), measured.last_finish.map(since_start)),
            succeeded: all.succeeded,
            failed: all.failed,
            cancelled: all.cancelled,
            unfinished,
            drained_s,
            drained_per_s: drained_s.map(|time| per_second(all.accepted, Some(time))),
            errors: reported(measured),
            late: is_open.then(|| Late {
                jobs: measured.late,
                without_connection: measured.without_connection,
                longest_ms: milliseconds(measured.latest),
            }),
            latency_ms: Latencies::of(&all),
            jobs: parts(plan, measured),
            thresholds: Vec::new(),
            timeline: moments::of(plan, &measured.timeline, elapsed_s),
            errors_count: !plan.thresholds.iter().any(|one| one.is_about_errors()),
        }
    }

    /// Jobs that outlasted the patience are an error.
    fn outlast(&mut self, settle: Duration) {
        let name = format!(
            "still under way after {}",
            humantime::format_duration(settle)
        );
        let error = ReportedError {
            count: self.unfinished.max(1),
            example: None,
        };
        self.errors.insert(name, error);
    }

    /// All that went wrong.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
    }

    /// Whether everything that was tried went well, as far as no threshold has its own say.
    pub(crate) fn is_clean(&self) -> bool {
        let is_flawless = self.errors.is_empty() && self.failed == 0 && self.cancelled == 0;
        is_flawless || !self.errors_count
    }

    /// Whether a threshold was crossed.
    pub(crate) fn has_failed(&self) -> bool {
        self.thresholds.iter().any(|verdict| verdict.crossed)
    }

    /// A figure of the whole run, or of one part of the mix; none, where nothing was measured.
    pub(crate) fn figure(&self, part: Option<&str>, figure: Figure) -> Option<f64> {
        let part = match part {
            Some(name) => Some(self.jobs.iter().find(|part| part.name == name)?),
            None => None,
        };
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let number = |count: u64| Some(count as f64);
        let is_followed = self.wait != "none";
        let latencies = part.map_or(self.latency_ms, |part| part.latency_ms);
        // A part has its share of the run's time.
        let share = |of_part: fn(&Part) -> u64, all: u64, per_s: f64| match part {
            Some(part) if all > 0 => Some(number(of_part(part))? / number(all)? * per_s),
            _ => Some(per_s),
        };
        let accepted = || share(|part| part.accepted, self.accepted, self.accepted_per_s);
        let finished = || share(Part::finished, self.finished, self.finished_per_s);
        match figure {
            Figure::Latency(which, quantile) => {
                let of_result = which.map_or(is_followed, |which| which == Latency::Result);
                let quantiles = if of_result {
                    latencies.post_to_result
                } else {
                    latencies.post
                };
                quantiles.map(|quantiles| quantiles.at(quantile))
            }
            Figure::ErrorRate if self.requests == 0 => None,
            Figure::ErrorRate => Some(number(self.error_count())? / number(self.requests)?),
            Figure::Errors => number(self.error_count()),
            Figure::Failed => number(part.map_or(self.failed + self.cancelled, |part| {
                part.failed + part.cancelled
            })),
            Figure::Lost => number(part.map_or(self.unfinished, |part| part.unfinished)),
            // A closed loop has no schedule, so nothing is ever late.
            Figure::Late => number(self.late.as_ref()?.jobs),
            Figure::Accepted => accepted(),
            Figure::Finished => finished(),
            Figure::Throughput if is_followed => finished(),
            Figure::Throughput => accepted(),
        }
    }
}

impl Part {
    pub(crate) const fn finished(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }
}

impl Quantiles {
    const fn at(&self, quantile: Quantile) -> f64 {
        match quantile {
            Quantile::P50 => self.p50,
            Quantile::P90 => self.p90,
            Quantile::P95 => self.p95,
            Quantile::P99 => self.p99,
            Quantile::P999 => self.p999,
            Quantile::Max => self.max,
            Quantile::Mean => self.mean,
        }
    }
}

/// Nobody knows it of jobs that are not followed.
fn unfinished(plan: &Plan, counts: &PartCounts) -> u64 {
    match plan.follow {
        Follow::Not { .. } => 0,
        _ => counts.accepted - counts.finished(),
    }
}

fn stages(plan: &Plan) -> Vec<ReportedStage> {
    let stages = plan.stages.iter().map(|stage| ReportedStage {
        over_s: stage.over.as_secs_f64(),
        to: stage.to,
    });
    stages.collect()
}

fn parts(plan: &Plan, measured: &Measurements) -> Vec<Part> {
    let parts = plan.mix.parts.iter().zip(&measured.parts);
    let parts = parts.map(|(part, counts)| Part {
        name: part.name.clone(),
        kind: part.kind.clone(),
        weight: part.weight,
        submitted: counts.submitted,
        accepted: counts.accepted,
        succeeded: counts.succeeded,
        failed: counts.failed,
        cancelled: counts.cancelled,
        unfinished: unfinished(plan, counts),
        latency_ms: Latencies::of(counts),
    });
    parts.collect()
}

fn reported(measured: &Measurements) -> BTreeMap<String, ReportedError> {
    let errors = measured.errors.iter().map(|(name, error)| {
        let reported = ReportedError {
            count: error.count,
            example: error.example.clone(),
        };
        (name.clone(), reported)
    });
    errors.collect()
}

#[cfg(test)]
mod tests;
