//! From hints to claimed rows.

use rusqlite::{Connection, Row};

use super::{clock_now, ids_as_json, statement::rows, uuids_as_json};
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
pub(super) fn claim(connection: &Connection, claim: &Claim) -> Result<Vec<ClaimedRow>, StoreError> {
    let mut claimed = rows(
        connection,
        concat!(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease = $1, \
             started_at = $2, progress = NULL \
             WHERE id IN (SELECT unhex(value) FROM json_each($3)) AND state = 'queued' \
             AND kind IN (SELECT value FROM json_each($4)) AND (crashes > 0) = $6 \
             AND (start_by IS NULL OR attempt > 0 OR start_by > $2) \
             AND (deadline_at IS NULL OR deadline_at > $2) \
             AND EXISTS (SELECT 1 FROM leases WHERE leases.id = $1 AND ends_at > $5) \
             RETURNING ",
            claimed_columns!()
        ),
        &[
            claim.lease.as_uuid(),
            &claim.now,
            &claim.ids,
            &claim.kinds,
            &clock_now(),
            &(claim.standing == Standing::Suspect),
        ],
        |row: &Row<'_>| ClaimedRow::try_from(row),
    )?;
    if claimed.len() < claim.number_of_ids {
        let ids = uuids_as_json(claimed.iter().map(|row| &row.id));
        claimed.extend(claimed_before(connection, claim, &ids)?);
    }
    Ok(claimed)
}

/// What this very claim took before, its answer having been lost: no other has its lease and time.
fn claimed_before(
    connection: &Connection,
    claim: &Claim,
    claimed: &str,
) -> Result<Vec<ClaimedRow>, StoreError> {
    rows(
        connection,
        concat!(
            "SELECT ",
            claimed_columns!(),
            " FROM jobs WHERE id IN (SELECT unhex(value) FROM json_each($1)) \
             AND id NOT IN (SELECT unhex(value) FROM json_each($2)) AND state = 'running' \
             AND lease = $3 AND started_at = $4"
        ),
        &[&claim.ids, &claimed, claim.lease.as_uuid(), &claim.now],
        |row: &Row<'_>| ClaimedRow::try_from(row),
    )
}
