//! Who holds a unique key.

use rusqlite::{Connection, Row, params};

use super::{
    moves,
    statement::{execute, row},
};
use crate::{
    job::{Inserted, JobId, NewJob},
    store::{
        StoreError, sql,
        uniqueness::{Holder, Yield, held_until},
    },
    timestamp::Timestamp,
};

/// Takes the unique key of a submission; says what stands in its way, or which job it has
/// replaced. The transaction is the only writer.
pub(super) fn take(connection: &Connection, new: &NewJob) -> Result<Inserted, StoreError> {
    let Some(unique) = &new.unique else {
        return Ok(Inserted::Stored { replaced: None });
    };
    let (tenant, key) = (new.tenant.as_str(), unique.key.as_str());
    let held_until = held_until(new, unique.mode);
    let own = params![tenant, key, new.id.as_uuid(), held_until];
    if execute(connection, sql::TAKE_UNIQUE_KEY, own)? > 0 {
        return Ok(Inserted::Stored { replaced: None });
    }
    let holder = holder(connection, new, key)?;
    let replaced = match holder.map(|holder| holder.yield_to(new, unique.mode)) {
        None | Some(Yield::Free) => None,
        Some(Yield::Own) => return Ok(Inserted::Stored { replaced: None }),
        Some(Yield::Kept(job)) => return Ok(Inserted::UniqueExists { job }),
        Some(Yield::Replaced(moved)) => {
            let replaced = moved.id;
            moves::write(connection, &[*moved])?;
            Some(replaced)
        }
    };
    execute(connection, sql::TAKE_OVER_UNIQUE_KEY, own)?;
    Ok(Inserted::Stored { replaced })
}

/// The job under whose name a key stands.
fn holder(connection: &Connection, new: &NewJob, key: &str) -> Result<Option<Holder>, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(uuid::Uuid, Option<Timestamp>)> = row(
        connection,
        sql::unique_key!(),
        &[&new.tenant.as_str(), &key],
        read,
    )?;
    let Some((id, held_until)) = found else {
        return Ok(None);
    };
    let id = JobId::from_uuid(id);
    Ok(Some(Holder {
        id,
        held_until,
        job: moves::find(connection, id)?,
    }))
}
