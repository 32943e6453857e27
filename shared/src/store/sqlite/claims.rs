//! From hints to claimed rows.

use sqlx::SqliteConnection;

use super::{clock_now, ids_as_json, uuids_as_json};
use crate::{
    job::{JobId, KindName, LeaseId},
    store::{
        StoreError,
        rows::{ClaimedRow, claimed_columns, to_json},
        suspects::Standing,
    },
    timestamp::Timestamp,
};

/// A claim that is to be made.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) lease: LeaseId,
    /// As JSON.
    pub(super) ids: String,
    pub(super) number_of_ids: usize,
    /// As JSON.
    pub(super) kinds: String,
    /// Others than of this standing are left alone.
    pub(super) standing: Standing,
    /// No other claim of this lease has it.
    pub(super) now: Timestamp,
}

impl Claim {
    /// Of these jobs, where they are of these kinds.
    pub(super) fn of<'a>(
        lease: LeaseId,
        ids: impl ExactSizeIterator<Item = &'a JobId>,
        kinds: &[&KindName],
        standing: Standing,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            lease,
            number_of_ids: ids.len(),
            ids: ids_as_json(ids),
            kinds: to_json("kind", &kinds)?,
            standing,
            now,
        })
    }
}

/// `queued → running`; the rows that moved, and those that had by this very claim. The transaction
/// is the caller's, and the only writer.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: &Claim,
) -> Result<Vec<ClaimedRow>, StoreError> {
    let mut rows: Vec<ClaimedRow> = sqlx::query_as(concat!(
        "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease = $1, \
         started_at = $2, progress = NULL \
         WHERE id IN (SELECT unhex(value) FROM json_each($3)) AND state = 'queued' \
         AND kind IN (SELECT value FROM json_each($4)) AND (crashes > 0) = $6 \
         AND (start_by IS NULL OR attempt > 0 OR start_by > $2) \
         AND (deadline_at IS NULL OR deadline_at > $2) \
         AND EXISTS (SELECT 1 FROM leases WHERE leases.id = $1 AND ends_at > $5) \
         RETURNING ",
        claimed_columns!()
    ))
    .bind(claim.lease.as_uuid())
    .bind(claim.now)
    .bind(&claim.ids)
    .bind(&claim.kinds)
    .bind(clock_now())
    .bind(claim.standing == Standing::Suspect)
    .fetch_all(&mut *connection)
    .await?;
    if rows.len() < claim.number_of_ids {
        let claimed = uuids_as_json(rows.iter().map(|row| &row.id));
        rows.extend(claimed_before(connection, claim, &claimed).await?);
    }
    Ok(rows)
}

/// What this very claim took before, its answer having been lost: no other has its lease and time.
async fn claimed_before(
    connection: &mut SqliteConnection,
    claim: &Claim,
    claimed: &str,
) -> Result<Vec<ClaimedRow>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        claimed_columns!(),
        " FROM jobs WHERE id IN (SELECT unhex(value) FROM json_each($1)) \
         AND id NOT IN (SELECT unhex(value) FROM json_each($2)) AND state = 'running' \
         AND lease = $3 AND started_at = $4"
    ))
    .bind(&claim.ids)
    .bind(claimed)
    .bind(claim.lease.as_uuid())
    .bind(claim.now)
    .fetch_all(connection)
    .await?)
}
