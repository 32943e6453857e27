//! What happened when, as the report has it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::{
    plan::{Follow, Pace, Plan},
    timeline::{Latencies, Timeline},
};

/// What happened in a piece of the run. Counts are of the piece, states of its end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Moment {
    /// When it began, since the start of the run, and how long it was.
    pub(crate) from_s: f64,
    pub(crate) length_s: f64,
    /// What was asked for in its middle: jobs a second, or connections.
    pub(crate) target: f64,
    pub(crate) accepted: u64,
    pub(crate) finished: u64,
    /// Jobs that were accepted and had not begun, and that had begun and not finished; none,
    /// where no job was followed.
    pub(crate) queued: Option<u64>,
    pub(crate) running: Option<u64>,
    pub(crate) finished_in_all: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) post_ms: Option<Spread>,
    pub(crate) post_to_result_ms: Option<Spread>,
}

/// Latencies of a piece of the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(latencies: &Latencies) -> Option<Self> {
        let at = |quantile| latencies.quantile_ms(quantile);
        Some(Self {
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            max: at(1.0)?,
        })
    }
}

/// The pieces of a run that took so long.
pub(super) fn of(plan: &Plan, timeline: &Timeline, elapsed_s: f64) -> Vec<Moment> {
    let width_s = timeline.width().as_secs_f64();
    let is_followed = !matches!(plan.follow, Follow::Not { .. });
    let (mut accepted, mut started, mut finished) = (0_u64, 0_u64, 0_u64);
    let mut moments = Vec::with_capacity(timeline.slots().len());
    for (index, slot) in timeline.slots().iter().enumerate() {
        accepted += slot.accepted;
        started += slot.started;
        finished += slot.finished;
        #[expect(clippy::cast_precision_loss, reason = "there are a few hundred")]
        let from_s = index as f64 * width_s;
        let length_s = (elapsed_s - from_s).clamp(0.001, width_s);
        let state = |begun: u64, ended: u64| is_followed.then(|| begun.saturating_sub(ended));
        moments.push(Moment {
            from_s,
            length_s,
            target: target(plan, from_s + length_s / 2.0),
            accepted: slot.accepted,
            finished: slot.finished,
            queued: state(accepted, started),
            running: state(started, finished),
            finished_in_all: finished,
            errors: slot.errors.clone(),
            post_ms: Spread::of(&slot.post),
            post_to_result_ms: Spread::of(&slot.result),
        });
    }
    moments
}

fn target(plan: &Plan, at_s: f64) -> f64 {
    let at = std::time::Duration::from_secs_f64(at_s);
    if plan.limit.duration.is_some_and(|duration| at > duration) {
        return 0.0;
    }
    match &plan.pace {
        Pace::Closed { callers } => callers.value_at(at),
        Pace::Open { rate } => rate.value_at(at),
    }
}
