//! From claimed rows to jobs.

use super::{Finish, RunStore, StoreError, rows::ClaimedRow};
use crate::{
    job::{ClaimedJob, Failure, JobId, LeaseId, Outcome, failure::FailureType},
    timestamp::Timestamp,
};

/// The jobs in rows that were claimed. One whose row makes no sense ends in `store`: nobody could run it,
/// and it would hold up the rest.
pub(super) async fn jobs(
    store: &impl RunStore,
    rows: Vec<ClaimedRow>,
    lease: LeaseId,
    now: Timestamp,
) -> Result<Vec<ClaimedJob>, StoreError> {
    let mut jobs = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for row in rows {
        let (id, attempt) = (JobId::from_uuid(row.id), row.attempt);
        match row.into_job(lease) {
            Ok(job) => jobs.push(job),
            Err(error) => {
                tracing::error!(job_id = %id, %error, "a job that was claimed cannot be read: it fails");
                let message = format!("the job could not be read: {error}");
                unreadable.push(Finish {
                    id,
                    attempt: u32::try_from(attempt).unwrap_or_default(),
                    lease,
                    started_at: now,
                    finished_at: now,
                    outcome: Outcome::Failed(Failure::new(FailureType::Error, message)),
                });
            }
        }
    }
    if !unreadable.is_empty() {
        store.finish(unreadable).await?;
    }
    Ok(jobs)
}
