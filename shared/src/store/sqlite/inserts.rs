//! From a group of submissions to rows.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use rusqlite::{Connection, params};

use super::{
    chunks,
    claims::{self, Claim},
    clock_now,
    groups::GroupStatement,
    statement::{PositionalStatement, execute, row},
    uniqueness,
};
use crate::{
    job::{Inserted, JobId, KindName, LeaseId, NewJob},
    store::{
        FirstClaim, FirstClaimed, PAYLOAD_ATTEMPT, StoreError,
        idempotency::{self, KeyRow},
        inline,
        rows::{metadata_to_json, to_integer, to_milliseconds, to_seconds, to_size},
        sql,
        suspects::Standing,
    },
};

/// Stores what its keys allow, and claims what of it is to be claimed; the transaction is the
/// caller's, and the only writer.
pub(super) fn insert(
    connection: &Connection,
    jobs: &[NewJob],
    claim: Option<&FirstClaim>,
) -> Result<FirstClaimed, StoreError> {
    let claim = match claim {
        Some(claim) if is_alive(connection, claim.lease)? => Some(claim),
        _ => None,
    };
    let mut rows = Rows { claim, stored: 0 };
    let inserted = insert_keyed(connection, jobs, &mut rows)?;
    let mut claimed = Vec::new();
    if let Some(claim) = claim {
        let wanted: Vec<&NewJob> = claim.wanted(jobs, &inserted).collect();
        let stored = inserted.iter().filter(|one| one.is_stored()).count();
        let wanted = if rows.stored == stored {
            wanted
        } else {
            // It was asked before, and its answer was lost.
            claimed_again(connection, claim, wanted)?
        };
        let (lease, now) = (claim.lease, claim.now);
        claimed.extend(wanted.iter().filter_map(|job| job.claimed(lease, now)));
    }
    Ok(FirstClaimed { inserted, claimed })
}

/// Whether a lease has not ended.
fn is_alive(connection: &Connection, lease: LeaseId) -> Result<bool, StoreError> {
    let found = row(
        connection,
        "SELECT 1 FROM leases WHERE id = $1 AND ends_at > $2",
        &[lease.as_uuid(), &clock_now()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Those of these jobs that are this claim's, though some of them had been stored before.
fn claimed_again<'a>(
    connection: &Connection,
    claim: &FirstClaim,
    wanted: Vec<&'a NewJob>,
) -> Result<Vec<&'a NewJob>, StoreError> {
    let kinds: Vec<&KindName> = wanted.iter().map(|job| &job.kind).collect();
    let ids = wanted.iter().map(|job| &job.id);
    let claim = Claim::of(claim.lease, ids, &kinds, Standing::Clear, claim.now)?;
    let rows = claims::claim(connection, &claim)?;
    let claimed: HashSet<JobId> = rows.iter().map(|row| JobId::from_uuid(row.id)).collect();
    let is_claimed = |job: &&NewJob| claimed.contains(&job.id);
    Ok(wanted.into_iter().filter(is_claimed).collect())
}

/// Stores what its keys allow.
fn insert_keyed(
    connection: &Connection,
    jobs: &[NewJob],
    rows: &mut Rows<'_>,
) -> Result<Vec<Inserted>, StoreError> {
    let repeated = take_idempotency_keys(connection, jobs)?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    let mut plain = Vec::with_capacity(jobs.len());
    for job in jobs {
        outcomes.push(match repeated.get(&job.id) {
            Some(outcome) => outcome.clone(),
            // At once: another of the group may ask for the same key.
            None if job.unique.is_some() => insert_unique(connection, job, rows)?,
            None => {
                plain.push(job);
                Inserted::Stored { replaced: None }
            }
        });
    }
    rows.insert(connection, &plain)?;
    Ok(outcomes)
}

fn insert_unique(
    connection: &Connection,
    job: &NewJob,
    rows: &mut Rows<'_>,
) -> Result<Inserted, StoreError> {
    let outcome = uniqueness::take(connection, job)?;
    if outcome.is_stored() {
        rows.insert(connection, &[job])?;
    } else if let Some(own) = &job.idempotency {
        let own = params![job.id.as_uuid(), job.tenant.as_str(), own.key.as_str()];
        execute(connection, sql::GIVE_BACK_IDEMPOTENCY_KEY, own)?;
    }
    Ok(outcome)
}

/// Takes the keys that are free; what became of the submissions whose keys were not.
fn take_idempotency_keys(
    connection: &Connection,
    jobs: &[NewJob],
) -> Result<HashMap<JobId, Inserted>, StoreError> {
    let mut rows = Vec::new();
    for job in idempotency::first_of_each_key(jobs) {
        let Some(own) = &job.idempotency else {
            continue;
        };
        let (tenant, key) = (job.tenant.as_str(), own.key.as_str());
        execute(
            connection,
            "INSERT INTO idempotency_keys (tenant, key, fingerprint, job_id, status, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
             job_id = excluded.job_id, status = excluded.status, \
             expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= $7",
            &[
                &tenant,
                &key,
                &own.fingerprint.as_slice(),
                job.id.as_uuid(),
                &i32::from(own.status),
                &own.expires_at,
                &job.created_at,
            ],
        )?;
        let found = row(
            connection,
            "SELECT tenant, key, fingerprint, job_id, status FROM idempotency_keys \
             WHERE tenant = $1 AND key = $2",
            &[&tenant, &key],
            |row| KeyRow::try_from(row),
        )?;
        let missing = || StoreError::corrupt("idempotency key", "it is not there");
        rows.push(found.ok_or_else(missing)?);
    }
    Ok(idempotency::repeated(jobs, &rows))
}

static INSERT: LazyLock<GroupStatement> = LazyLock::new(|| {
    GroupStatement::new(
        "INSERT INTO jobs (id, tenant, kind, queue, priority, state, attempt, lease, started_at, \
         max_attempts, created_at, run_at, queued_at, start_by, deadline_at, timeout_ms, retain_s, \
         metadata, traceparent, payload_type, payload_size, payload) SELECT * FROM (VALUES ",
        22,
        ") WHERE column1 IS NOT NULL ON CONFLICT (id) DO NOTHING",
    )
});

/// Writes the rows of a group.
struct Rows<'a> {
    /// What of them is claimed as it is stored.
    claim: Option<&'a FirstClaim>,
    /// How many were not there before.
    stored: usize,
}

impl Rows<'_> {
    fn insert(&mut self, connection: &Connection, jobs: &[&NewJob]) -> Result<(), StoreError> {
        for (statement, piece) in INSERT.pieces(jobs) {
            let mut statement = PositionalStatement::prepare(connection, statement)?;
            for job in piece {
                let claim = self.claim.filter(|claim| claim.ids.contains(&job.id));
                let submitted = job.lifecycle();
                let begun = claim.and_then(|_| submitted.claim().ok());
                let lifecycle = begun.unwrap_or(submitted);
                statement
                    .bind(job.id.as_uuid())?
                    .bind(job.tenant.as_str())?
                    .bind(job.kind.as_str())?
                    .bind(job.queue.as_str())?
                    .bind(job.priority.rank())?
                    .bind(lifecycle.state.as_str())?
                    .bind(to_integer(lifecycle.attempt))?
                    .bind(begun.and(claim).map(|claim| claim.lease.as_uuid()))?
                    .bind(begun.and(claim).map(|claim| claim.now))?
                    .bind(to_integer(job.max_attempts))?
                    .bind(job.created_at)?
                    .bind(job.run_at)?
                    .bind(job.queued_at())?
                    .bind(job.start_by)?
                    .bind(job.deadline_at)?
                    .bind(job.timeout.map(to_milliseconds))?
                    .bind(to_seconds(job.retain))?
                    .bind(metadata_to_json(&job.metadata)?)?
                    .bind(job.traceparent.as_deref())?
                    .bind(job.payload_type.as_str())?
                    .bind(to_size(job.payload.len()))?
                    .bind(inline(&job.payload))?;
            }
            self.stored += statement.execute()?;
        }
        for job in jobs {
            chunks::write(connection, job.id, PAYLOAD_ATTEMPT, &job.payload)?;
        }
        Ok(())
    }
}
