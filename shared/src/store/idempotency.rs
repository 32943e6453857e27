//! Which of a group's submissions are the first of their idempotency keys. Pure.

use std::collections::HashMap;

use sqlx::FromRow;
use uuid::Uuid;

use super::rows::read_by_the_writer;
use crate::job::{Inserted, JobId, NewJob};

/// A key as it stands in the store.
#[derive(FromRow)]
pub(super) struct KeyRow {
    pub(super) tenant: String,
    pub(super) key: String,
    pub(super) fingerprint: Vec<u8>,
    pub(super) job_id: Uuid,
    pub(super) status: i32,
}

read_by_the_writer!(KeyRow {
    tenant,
    key,
    fingerprint,
    job_id,
    status
});

/// The first submission of each key in a group, in an order that is the same everywhere: two
/// groups that take the same keys then cannot deadlock.
pub(super) fn first_of_each_key(jobs: &[NewJob]) -> Vec<&NewJob> {
    let mut keyed: Vec<&NewJob> = jobs
        .iter()
        .filter(|job| job.idempotency.is_some())
        .collect();
    keyed.sort_by_key(|job| key_of(job));
    keyed.dedup_by_key(|job| key_of(job));
    keyed
}

/// What became of each keyed submission that is not itself the first of its key, by the rows of
/// the keys once they have been written.
pub(super) fn repeated(jobs: &[NewJob], rows: &[KeyRow]) -> HashMap<JobId, Inserted> {
    let rows: HashMap<(&str, &str), &KeyRow> = rows
        .iter()
        .map(|row| ((row.tenant.as_str(), row.key.as_str()), row))
        .collect();
    let judged = jobs.iter().filter_map(|job| {
        let idempotency = job.idempotency.as_ref()?;
        let row = rows.get(&key_of(job)?)?;
        if row.job_id == *job.id.as_uuid() {
            return None;
        }
        let outcome = if row.fingerprint == idempotency.fingerprint {
            Inserted::Replayed {
                job: JobId::from_uuid(row.job_id),
                status: u16::try_from(row.status).unwrap_or(202),
            }
        } else {
            Inserted::KeyReused
        };
        Some((job.id, outcome))
    });
    judged.collect()
}

fn key_of(job: &NewJob) -> Option<(&str, &str)> {
    let key = job.idempotency.as_ref()?.key.as_str();
    Some((job.tenant.as_str(), key))
}
