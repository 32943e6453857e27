//! Waiting for a job to finish.

use std::time::Duration;

use coatcheck_shared::job::{Job, JobId};
use tokio::time::Instant;

use crate::{api::Api, caller::Caller, credentials, problem::Problem};

/// How long a lost signal can go unnoticed.
const REREAD: Duration = Duration::from_secs(1);

/// Reads a job as soon as it is finished, or after `longest`, or when the server goes; none where
/// there is no such job.
///
/// # Errors
/// Where the caller's key is good no longer, or the store does not answer.
pub(super) async fn until_finished(
    api: &Api,
    caller: &Caller,
    id: JobId,
    longest: Duration,
) -> Result<Option<Job>, Problem> {
    let deadline = Instant::now() + longest;
    let Some(waiter) = api.waiters.join(id) else {
        return Ok(api.store.get(&caller.tenant, id).await?);
    };
    loop {
        // Asked for before the job is read, so that a signal in between is not missed.
        let signal = waiter.next_signal();
        let job = api.store.get(&caller.tenant, id).await?;
        let is_over = job
            .as_ref()
            .is_none_or(|job| job.lifecycle.state.is_terminal())
            || Instant::now() >= deadline
            || api.draining.is_cancelled();
        if is_over {
            return Ok(job);
        }
        tokio::select! {
            () = signal => {}
            () = tokio::time::sleep_until(deadline.min(Instant::now() + REREAD)) => {}
            () = api.draining.cancelled() => {}
        }
        if !caller.is_still_good(api) {
            return Err(credentials::refused());
        }
    }
}
