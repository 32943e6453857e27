//! Who holds a unique key.

use sqlx::PgConnection;
use uuid::Uuid;

use super::moves;
use crate::{
    job::{Inserted, JobId, NewJob},
    store::{
        StoreError,
        moves::{Locked, LockedRow, locked_columns},
        sql,
        uniqueness::{Holder, Yield, held_until},
    },
    timestamp::Timestamp,
};

/// Takes the unique key of a submission; says what stands in its way, or which job it has
/// replaced.
pub(super) async fn take(
    connection: &mut PgConnection,
    new: &NewJob,
) -> Result<Inserted, StoreError> {
    let Some(unique) = &new.unique else {
        return Ok(Inserted::Stored { replaced: None });
    };
    let (key, held_until) = (unique.key.as_str(), held_until(new, unique.mode));
    let holder = loop {
        let taken = sqlx::query(sql::TAKE_UNIQUE_KEY)
            .bind(new.tenant.as_str())
            .bind(key)
            .bind(new.id.as_uuid())
            .bind(held_until)
            .execute(&mut *connection)
            .await?;
        if taken.rows_affected() > 0 {
            return Ok(Inserted::Stored { replaced: None });
        }
        // None: it was given back between the two, and is free.
        if let Some(holder) = holder(connection, new, key).await? {
            break holder;
        }
    };
    let replaced = match holder.yield_to(new, unique.mode) {
        Yield::Free => None,
        Yield::Own => return Ok(Inserted::Stored { replaced: None }),
        Yield::Kept(job) => return Ok(Inserted::UniqueExists { job }),
        Yield::Replaced(moved) => {
            let replaced = moved.id;
            moves::write(connection, &[*moved]).await?;
            Some(replaced)
        }
    };
    sqlx::query(sql::TAKE_OVER_UNIQUE_KEY)
        .bind(new.tenant.as_str())
        .bind(key)
        .bind(new.id.as_uuid())
        .bind(held_until)
        .execute(connection)
        .await?;
    Ok(Inserted::Stored { replaced })
}

/// The job under whose name a key stands, both locked.
async fn holder(
    connection: &mut PgConnection,
    new: &NewJob,
    key: &str,
) -> Result<Option<Holder>, StoreError> {
    let row: Option<(Uuid, Option<Timestamp>)> =
        sqlx::query_as(concat!(sql::unique_key!(), " FOR UPDATE"))
            .bind(new.tenant.as_str())
            .bind(key)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((id, held_until)) = row else {
        return Ok(None);
    };
    let job: Option<LockedRow> = sqlx::query_as(concat!(
        "SELECT ",
        locked_columns!(),
        " FROM jobs AS job WHERE job.id = $1 FOR UPDATE"
    ))
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    Ok(Some(Holder {
        id: JobId::from_uuid(id),
        held_until,
        job: job.map(Locked::try_from).transpose()?,
    }))
}
