//! Waiting for a job's end.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{
    api::{Answer, Api, Call, OUTAGE, PATIENCE},
    job::Job,
    output::Output,
    progress::Bar,
    times::rough,
};
use crate::failure::{Failure, TIMED_OUT};

/// How long one request waits: a bar wants news, a script does not.
const WITH_BAR: Duration = Duration::from_secs(1);
const WITHOUT_BAR: Duration = Duration::from_secs(20);
/// The pause where the server does not wait as it was asked.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits for a job's end, shows the job, and gives the exit status that its end means.
///
/// # Errors
/// Where it has not ended after `limit`, or nobody answers.
pub(super) async fn to_the_end(
    api: &Api,
    id: &str,
    limit: Option<Duration>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut last = None;
    let end = {
        let bar = Bar::new();
        let ended = until_ended(api, id, limit, &bar, &mut last);
        match limit {
            Some(limit) => tokio::time::timeout(limit, ended).await,
            None => Ok(ended.await),
        }
    };
    if let Ok(Err(failure)) = end {
        return Err(failure);
    }
    let Some(answer) = last else {
        return Err(Failure::new(
            TIMED_OUT,
            "no answer in the time that was waited",
        ));
    };
    let job: Job = answer.json()?;
    if output.json() {
        output.raw(&answer.body)?;
    } else {
        output.table(&job.rows(output.times()))?;
    }
    if end.is_ok() {
        return Ok(job.exit_code());
    }
    let waited = rough(limit.unwrap_or_default());
    let reason = format!("the job is still {} after {waited}", job.state);
    Err(Failure::new(TIMED_OUT, reason))
}

async fn until_ended(
    api: &Api,
    id: &str,
    limit: Option<Duration>,
    bar: &Bar,
    last: &mut Option<Answer>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let segment = if bar.is_shown() {
        WITH_BAR
    } else {
        WITHOUT_BAR
    };
    loop {
        let asked = Instant::now();
        let left = limit.map_or(segment, |limit| limit.saturating_sub(begun.elapsed()));
        let mut call = Call::get([id]);
        call.patience = if last.is_some() { OUTAGE } else { PATIENCE };
        if let Some(limit) = limit {
            call.patience = call.patience.min(limit.saturating_sub(begun.elapsed()));
        }
        // The first answer is to come at once, so that a wait that runs out can say of what.
        if last.is_some() {
            let wait_s = left.min(segment).as_secs().max(1);
            call = call.with_header("prefer", format!("wait={wait_s}"));
        }
        let answer = api.ask(&call).await?;
        let job: Job = answer.json()?;
        bar.show(&job);
        let is_first = last.is_none();
        *last = Some(answer);
        if job.state.is_terminal() {
            return Ok(());
        }
        if !is_first && asked.elapsed() < PAUSE {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
