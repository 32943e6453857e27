//! From claimed rows to jobs with their payloads.

use std::future::Future;

use super::{Finish, RunStore, StoreError, rows::ClaimedRow};
use crate::{
    job::{ClaimedJob, Failure, JobId, LeaseId, Outcome, failure::FailureType},
    timestamp::Timestamp,
};

/// Reads the payloads that do not lie in their rows, one after another by `read`, which is to have a
/// deadline for each: together they may be more than one answer can hold, and a claim that is asked
/// again begins anew. A job that cannot be read ends in `store`: nobody could run it, and it would hold
/// up the rest.
pub(super) async fn with_payloads<Reading>(
    store: &impl RunStore,
    rows: Vec<ClaimedRow>,
    lease: LeaseId,
    now: Timestamp,
    read: impl Fn(JobId) -> Reading,
) -> Result<Vec<ClaimedJob>, StoreError>
where
    Reading: Future<Output = Result<Vec<u8>, StoreError>>,
{
    let mut jobs = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for mut row in rows {
        let (id, attempt) = (JobId::from_uuid(row.id), row.attempt);
        let job = match row.payload {
            Some(_) => row.into_job(lease),
            None => read(id).await.and_then(|payload| {
                row.payload = Some(payload);
                row.into_job(lease)
            }),
        };
        match job {
            Ok(job) => jobs.push(job),
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => {
                tracing::error!(job_id = %id, %error, "a job that was claimed cannot be read: it fails");
                let message = format!("the job could not be read: {error}");
                unreadable.push(Finish {
                    id,
                    attempt: u32::try_from(attempt).unwrap_or_default(),
                    lease,
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
