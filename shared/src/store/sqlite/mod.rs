//! The store in an SQLite file, for the one process that does everything.
//!
//! It differs from Postgres where SQLite has no arrays (lists go in as JSON), no row locks (there
//! is one writer at a time, which is lock enough) and no clock of its own (the machine's is used:
//! there is no other machine to disagree with).

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

/// How many rows of an answer may be on their way from SQLite's thread: as many as a group has.
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
        deadline::within(settings.deadline, "migrate", migrate(options.clone())).await?;
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
        let writer = tokio::task::spawn_blocking(move || Writer::start(path, busy));
        Ok(Self {
            lookups: lookups::start(reader.clone(), settings.deadline),
            reader,
            writer: writer.await.map_err(|_| StoreError::Panicked)??,
            deadline: settings.deadline,
            census: census::LastCensus::default(),
        })
    }

    /// Asks within the deadline.
    async fn within<Asked, T>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> Asked + Send,
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
        make: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        deadline::within(self.deadline, operation, self.writer.write(make)).await
    }
}

/// Makes the file where it is missing, and brings its schema up to this program's.
async fn migrate(options: SqliteConnectOptions) -> Result<(), StoreError> {
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await?;
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
