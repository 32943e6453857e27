//! Forgetting jobs.

use rusqlite::Connection;

use super::{ids_as_json, statement::execute};
use crate::{job::JobId, store::StoreError};

/// The tables that hold what belongs to a job, and the job itself last.
const DELETE: [&str; 5] = [
    "DELETE FROM attempts WHERE job_id IN (SELECT unhex(value) FROM json_each($1))",
    "DELETE FROM chunks WHERE job_id IN (SELECT unhex(value) FROM json_each($1))",
    "DELETE FROM logs WHERE job_id IN (SELECT unhex(value) FROM json_each($1))",
    "DELETE FROM unique_keys WHERE job_id IN (SELECT unhex(value) FROM json_each($1)) \
     AND held_until IS NULL",
    "DELETE FROM jobs WHERE id IN (SELECT unhex(value) FROM json_each($1))",
];

/// Forgets jobs, with all that belongs to them; the transaction is the only writer.
pub(super) fn delete(connection: &Connection, jobs: &[JobId]) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ids = ids_as_json(jobs);
    for statement in DELETE {
        execute(connection, statement, &[&ids])?;
    }
    Ok(())
}
