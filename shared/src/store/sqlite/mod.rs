//! The store in an SQLite file, for the one process that does everything.
//!
//! It differs from Postgres where SQLite has no arrays (lists go in as JSON), no row locks (there
//! is one writer at a time, which is lock enough) and no clock of its own (the machine's is used:
//! there is no other machine to disagree with).
//!
//! What writes goes by rusqlite, on a thread of its own (`writer.rs`); what only reads, and the
//! migrations, go by sqlx.

mod census;
mod chunks;
mod claims;
mod client_moves;
mod deletion;
mod facts;
mod finishes;
mod groups;
mod inserts;
mod jobs;
mod keeping;
mod lookups;
mod moves;
mod reads;
mod registry;
mod runs;
mod statement;
mod suspects;
mod uniqueness;
mod writer;

use std::{future::Future, path::PathBuf, time::Duration};

use rusqlite::Connection;
use sqlx::{
    ConnectOptions, Connection as _, Sqlite,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use uuid::Uuid;

pub use self::facts::{SqliteFacts, can_keep_a_log, facts};
use self::writer::Writer;
use super::{
    PoolUse, StoreError, deadline,
    lookups::Lookups,
    pool::{Limits, Pool},
    schema,
};
use crate::{
    clock::{Clock, SystemClock},
    job::JobId,
    timestamp::Timestamp,
};

/// The schema, step by step.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// How many rows of an answer may be on their way from SQLite's thread: as many as a page or a group
/// of questions has.
const ROWS_HELD: usize = 512;

/// Where an [`SqliteStore`] lies.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The file; made where it is missing.
    pub path: PathBuf,
    /// How many reads may go on at once.
    pub readers: u32,
    /// How long one answer may take.
    pub deadline: Duration,
}

/// The store in an SQLite file.
pub struct SqliteStore {
    reader: Pool<Sqlite>,
    writer: Writer,
    lookups: Lookups,
    deadline: Duration,
    census: census::LastCensus,
}

impl super::Store for SqliteStore {
    fn connections(&self) -> Vec<PoolUse> {
        vec![self.reader.usage(), self.writer.usage()]
    }
}

impl SqliteStore {
    /// Opens the file and brings its schema up to this program's.
    ///
    /// # Errors
    /// Where the file cannot be opened or written, or its schema is a later program's.
    pub async fn open(settings: &SqliteSettings) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&settings.path)
            .busy_timeout(settings.deadline)
            .disable_statement_logging();
        migrate(options.clone(), settings.deadline).await?;
        // A cache for each of them, in KiB: the system caches the file for all.
        let options = options
            .read_only(true)
            .row_buffer_size(ROWS_HELD)
            .pragma("cache_size", "-512");
        let limits = Limits {
            most: settings.readers,
            deadline: settings.deadline,
            longest_life: None,
        };
        let reader = Pool::new("reader", options, limits);
        let (path, busy) = (settings.path.clone(), settings.deadline);
        let starting = tokio::task::spawn_blocking(move || Writer::start(path, busy));
        let starting = async { starting.await.unwrap_or(Err(StoreError::Panicked)) };
        Ok(Self {
            lookups: lookups::start(reader.clone(), settings.deadline),
            reader,
            writer: deadline::within(busy, "open", starting).await?,
            deadline: settings.deadline,
            census: census::LastCensus::default(),
        })
    }

    /// Asks within the deadline.
    async fn within<Asked, T>(
        &self,
        operation: &'static str,
        ask: impl FnOnce() -> Asked + Send,
    ) -> Result<T, StoreError>
    where
        Asked: Future<Output = Result<T, StoreError>> + Send,
    {
        deadline::within(self.deadline, operation, ask()).await
    }

    /// Makes a write within the deadline; see [`Writer::write`].
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        make: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        deadline::within(self.deadline, operation, self.writer.write(make)).await
    }
}

/// Makes the file where it is missing, and brings its schema up to this program's. A step may go
/// through all jobs, and what a killed process has left in the log is written back at the end: there
/// is a deadline for the connection alone.
async fn migrate(options: SqliteConnectOptions, deadline: Duration) -> Result<(), StoreError> {
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let connecting = async { Ok(options.connect().await?) };
    let mut connection = deadline::within(deadline, "connect", connecting).await?;
    schema::tolerant(&MIGRATIONS)
        .run(&mut connection)
        .await
        .map_err(schema::failed)?;
    let applied = sqlx::query_as(schema::APPLIED);
    schema::check(&MIGRATIONS, applied.fetch_all(&mut connection).await)?;
    Ok(connection.close().await?)
}

/// The time by the only clock there is.
fn clock_now() -> Timestamp {
    SystemClock.now()
}

/// Ids as a JSON array of hexadecimal texts, for `SELECT unhex(value) FROM json_each(…)`.
fn ids_as_json<'a>(ids: impl IntoIterator<Item = &'a JobId>) -> String {
    uuids_as_json(ids.into_iter().map(JobId::as_uuid))
}

fn uuids_as_json<'a>(ids: impl IntoIterator<Item = &'a Uuid>) -> String {
    let mut json = String::from("[");
    for (index, id) in ids.into_iter().enumerate() {
        json.push_str(if index == 0 { "\"" } else { ",\"" });
        json.push_str(id.simple().encode_lower(&mut Uuid::encode_buffer()));
        json.push('"');
    }
    json.push(']');
    json
}

#[cfg(test)]
mod tests {
    use std::{thread::sleep, time::Duration};

    use super::{SqliteSettings, SqliteStore};
    use crate::{
        job::{Inserted, NewJob, Tenant, Unique, UniqueMode},
        store::{JobStore, ReadStore, conformance::new_job},
    };

    #[tokio::test]
    async fn all_or_none_undoes_nothing_that_shares_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings {
            path: folder.path().join("test.sqlite3"),
            readers: 1,
            deadline: Duration::from_secs(20),
        };
        let store = SqliteStore::open(&settings).await.unwrap();
        let unique = || NewJob {
            unique: Some(Unique {
                key: "one".to_owned(),
                mode: UniqueMode::WhileActive,
            }),
            ..new_job()
        };
        let (holder, plain, other) = (unique(), new_job(), new_job());
        let (holder_id, plain_id, other_id) = (holder.id, plain.id, other.id);
        store.insert(vec![holder]).await.unwrap();
        let none = vec![plain, unique()];
        #[expect(
            clippy::disallowed_methods,
            reason = "it is on the writer's own thread"
        )]
        let busy = store.writer.write(|_| {
            sleep(Duration::from_millis(100));
            Ok(())
        });
        let (busy, refused, inserted) = tokio::join!(
            busy,
            store.insert_all_or_none(none),
            store.insert(vec![other])
        );
        busy.unwrap();
        let refused = refused.unwrap();
        assert_eq!(refused[1], Inserted::UniqueExists { job: holder_id });
        assert!(inserted.unwrap()[0].is_stored());
        let tenant = Tenant::default();
        assert!(store.get(&tenant, other_id).await.unwrap().is_some());
        assert!(store.get(&tenant, plain_id).await.unwrap().is_none());
    }
}
