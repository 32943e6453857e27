//! Who holds a unique key, in both dialects.
//!
//! A key is taken over when its job is no longer in its way, so no job gives its key back when it
//! ends, and ending costs nothing.

/// Defines `take` for a database. `$lock` ends the statements that read what is then written.
macro_rules! define_uniqueness {
    ($database:ty, lock: $lock:literal) => {
        use sqlx::Database;
        use uuid::Uuid;

        use super::moves;
        use $crate::{
            job::{Inserted, JobId, NewJob, UniqueMode},
            store::{
                StoreError,
                moves::{Locked, LockedRow, locked_columns},
            },
            timestamp::Timestamp,
        };

        /// Takes the unique key of a submission; says what stands in its way, or which job it
        /// has replaced.
        pub(super) async fn take(
            connection: &mut <$database as Database>::Connection,
            new: &NewJob,
        ) -> Result<Inserted, StoreError> {
            let Some(unique) = &new.unique else {
                return Ok(Inserted::Stored { replaced: None });
            };
            let held_until = match unique.mode {
                UniqueMode::Window(window) => Some(new.created_at.after(window)),
                UniqueMode::WhileActive | UniqueMode::Replace => None,
            };
            let taken = sqlx::query(
                "INSERT INTO unique_keys (tenant, key, job_id, held_until) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(new.tenant.as_str())
            .bind(unique.key.as_str())
            .bind(new.id.as_uuid())
            .bind(held_until)
            .execute(&mut *connection)
            .await?;
            if taken.rows_affected() > 0 {
                return Ok(Inserted::Stored { replaced: None });
            }
            let replaced = match holder(connection, new, unique.key.as_str()).await? {
                // This very submission, asked again.
                Some(holder) if holder.id == new.id => return Ok(Inserted::Stored { replaced: None }),
                Some(holder) => match replace(connection, &holder, new, unique.mode).await? {
                    Some(replaced) => Some(replaced),
                    None => return Ok(Inserted::UniqueExists { job: holder.id }),
                },
                None => None,
            };
            sqlx::query(
                "UPDATE unique_keys SET job_id = $3, held_until = $4 WHERE tenant = $1 AND key = $2",
            )
            .bind(new.tenant.as_str())
            .bind(unique.key.as_str())
            .bind(new.id.as_uuid())
            .bind(held_until)
            .execute(&mut *connection)
            .await?;
            Ok(Inserted::Stored { replaced })
        }

        struct Holder {
            id: JobId,
            /// None where the job is gone and only its window is left.
            job: Option<Locked>,
        }

        /// The job that holds a key and still stands in the way.
        async fn holder(
            connection: &mut <$database as Database>::Connection,
            new: &NewJob,
            key: &str,
        ) -> Result<Option<Holder>, StoreError> {
            let row: Option<(Uuid, Option<Timestamp>)> = sqlx::query_as(concat!(
                "SELECT job_id, held_until FROM unique_keys WHERE tenant = $1 AND key = $2",
                $lock
            ))
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
                " FROM jobs AS job WHERE job.id = $1",
                $lock
            ))
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
            let job = job.map(Locked::try_from).transpose()?;
            let is_held = match held_until {
                Some(end) => end > new.created_at,
                None => job
                    .as_ref()
                    .is_some_and(|job| !job.lifecycle.state.is_terminal()),
            };
            let id = JobId::from_uuid(id);
            Ok(is_held.then_some(Holder { id, job }))
        }

        /// Calls a waiting holder off for the new one; none where it stays.
        async fn replace(
            connection: &mut <$database as Database>::Connection,
            holder: &Holder,
            new: &NewJob,
            mode: UniqueMode,
        ) -> Result<Option<JobId>, StoreError> {
            let Some(waiting) = holder.job.as_ref().filter(|_| mode == UniqueMode::Replace) else {
                return Ok(None);
            };
            let Some(moved) = waiting
                .cancel(new.created_at)
                .filter(|moved| moved.state().is_terminal())
            else {
                return Ok(None);
            };
            moves::write(connection, &[moved]).await?;
            Ok(Some(holder.id))
        }
    };
}
pub(super) use define_uniqueness;
