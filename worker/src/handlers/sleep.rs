//! `sleep`: waits, and says how far it is.

use std::time::Duration;

use coatcheck_shared::kind::sleep::SleepPayload;
use serde::Serialize;

use crate::{Handler, HandlerError, JobContext, Json};

/// A sleep no longer than this is over before anyone could look: it reports nothing.
const LONGEST_SILENT_MS: u64 = 100;

/// Reports are at least this far apart, in milliseconds, but for one halfway.
const BETWEEN_REPORTS_MS: u64 = 500;

/// No sleep is cut into more steps than this.
const MOST_STEPS: u64 = 10;

/// Runs `sleep`.
#[derive(Clone, Copy, Debug)]
pub struct SleepHandler;

/// The result of `sleep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Slept {
    /// How long it was to sleep, in milliseconds.
    pub slept_ms: u64,
}

impl Handler for SleepHandler {
    type Payload = SleepPayload;
    type Output = Json<Slept>;

    async fn run(
        &self,
        SleepPayload { ms }: SleepPayload,
        context: &JobContext,
    ) -> Result<Json<Slept>, HandlerError> {
        tokio::select! {
            () = sleep_in_steps(ms, context) => Ok(Json(Slept { slept_ms: ms })),
            () = context.cancellation().cancelled() => {
                Err(HandlerError::retry("the sleep was interrupted"))
            }
        }
    }
}

/// Every step ends at a set time after the start, so that no lateness adds up.
async fn sleep_in_steps(ms: u64, context: &JobContext) {
    let start = tokio::time::Instant::now();
    let steps = steps(ms);
    for step in 1..=steps {
        let until = Duration::from_millis(ms).mul_f64(f64::from(step) / f64::from(steps));
        // A timer counts whole milliseconds: even one for no time at all takes up to one.
        if !until.is_zero() {
            tokio::time::sleep_until(start + until).await;
        }
        if step < steps {
            context.progress(100.0 * f32::from(step) / f32::from(steps), None);
        }
    }
}

fn steps(ms: u64) -> u8 {
    if ms <= LONGEST_SILENT_MS {
        return 1;
    }
    let steps = (ms / BETWEEN_REPORTS_MS).clamp(2, MOST_STEPS);
    u8::try_from(steps).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
