//! What `coatcheck check` asks a Postgres about itself.

use std::time::Duration;

use sqlx::Row;

use super::PostgresStore;
use crate::{store::StoreError, timestamp::Timestamp};

const ASK: &str = "SELECT current_setting('server_version') AS version, \
     current_setting('fsync') AS fsync, \
     current_setting('full_page_writes') AS full_page_writes, \
     current_setting('synchronous_commit') AS synchronous_commit, \
     current_setting('max_connections')::integer AS max_connections, \
     pg_is_in_recovery() AS is_replica, clock_timestamp() AS now";

/// How long it may take to answer: longer than a store's verbs, for nobody waits for more.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// How a Postgres is set up.
#[derive(Clone, Debug)]
pub struct PostgresFacts {
    /// Its version.
    pub version: String,
    /// Whether what it says is on disk is on disk.
    pub fsync: bool,
    /// Whether a page that was half written when the power failed is whole again.
    pub full_page_writes: bool,
    /// Whether a commit is on disk when it is answered; `off` is not.
    pub synchronous_commit: String,
    /// How many connections it takes.
    pub max_connections: u32,
    /// Whether it only follows another server, and takes no writes.
    pub is_replica: bool,
    /// Its time.
    pub now: Timestamp,
}

impl PostgresStore {
    /// Asks the server about itself.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn facts(&self) -> Result<PostgresFacts, StoreError> {
        let asking = sqlx::query(ASK).fetch_one(&self.reader);
        let row = tokio::time::timeout(LONGEST_ANSWER, asking)
            .await
            .map_err(|_| StoreError::timed_out())??;
        let is_on = |name: &str| -> Result<bool, sqlx::Error> {
            Ok(row.try_get::<String, _>(name)? == "on")
        };
        let most: i32 = row.try_get("max_connections")?;
        Ok(PostgresFacts {
            version: row.try_get("version")?,
            fsync: is_on("fsync")?,
            full_page_writes: is_on("full_page_writes")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            max_connections: u32::try_from(most).unwrap_or(0),
            is_replica: row.try_get("is_replica")?,
            now: row.try_get("now")?,
        })
    }
}
