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
mod hot_writes;
mod inserts;
mod jobs;
mod keeping;
mod lookups;
mod moves;
mod reads;
mod runs;
mod suspects;
mod uniqueness;

use std::{future::Future, path::PathBuf, time::Duration};

use sqlx::{
    ConnectOptions, Sqlite,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use uuid::Uuid;

pub use self::facts::{SqliteFacts, can_keep_a_log, facts};
use self::hot_writes::HotWrites;
use super::{
    PoolUse, StoreError, deadline,
    lookups::Lookups,
    pool::{Limits, Pool},
    schema,
    transaction::Transaction,
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

/// The memory for pages that the writer has at hand, in KiB with a minus.
const WRITER_CACHE: &str = "-16000";

/// How many pages of 4 KiB the log takes before they are written to where they belong. A page is
/// written by several commits one after another: a longer log writes it back once for all of them.
const PAGES_A_CHECKPOINT: &str = "4000";

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
    writer: Pool<Sqlite>,
    hot_writes: HotWrites,
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
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit is on disk before it is answered.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(settings.deadline)
            .disable_statement_logging();
        let options = options.row_buffer_size(ROWS_HELD);
        let writer_options = options
            .clone()
            .pragma("cache_size", WRITER_CACHE)
            .pragma("wal_autocheckpoint", PAGES_A_CHECKPOINT);
        let limits = |most| Limits {
            most,
            deadline: settings.deadline,
            longest_life: None,
        };
        let writer: Pool<Sqlite> = Pool::new("writer", writer_options, limits(1));
        let mut connection = writer.lend().await?;
        schema::tolerant(&MIGRATIONS)
            .run(&mut *connection)
            .await
            .map_err(schema::failed)?;
        connection.settle();
        let applied = sqlx::query_as(schema::APPLIED).fetch_all(&writer).await;
        schema::check(&MIGRATIONS, applied)?;
        // A cache for each of them, in KiB: the system caches the file for all.
        let options = options.read_only(true).pragma("cache_size", "-512");
        let reader = Pool::new("reader", options, limits(settings.readers));
        Ok(Self {
            lookups: lookups::start(reader.clone(), settings.deadline),
            reader,
            hot_writes: HotWrites::start(writer.clone()),
            writer,
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

    /// A transaction that is the writer from its beginning: one that turned from reader to writer
    /// half way could be refused.
    async fn begin(&self) -> Result<Transaction<Sqlite>, StoreError> {
        begin(&self.writer).await
    }
}

/// See [`SqliteStore::begin`].
async fn begin(writer: &Pool<Sqlite>) -> Result<Transaction<Sqlite>, StoreError> {
    Transaction::begin(writer, "BEGIN IMMEDIATE").await
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
    use std::time::Duration;

    use sqlx::Executor;

    use super::{SqliteSettings, SqliteStore};
    use crate::{
        clock::{Clock, SystemClock},
        store::{CensusStore, KeeperStore},
    };

    #[tokio::test]
    async fn keepers_that_find_nothing_keep_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings {
            path: folder.path().join("test.sqlite3"),
            readers: 1,
            deadline: Duration::from_secs(20),
        };
        let store = SqliteStore::open(&settings).await.unwrap();
        // It goes with its connection.
        let mark = "CREATE TEMPORARY TABLE mark (x)";
        store.writer.execute(mark).await.unwrap();
        let now = SystemClock.now();
        store.rescue(now, 10).await.unwrap();
        store.enqueue_due(now, 10).await.unwrap();
        store.fail_overdue(now, 10).await.unwrap();
        store.delete_expired(now, 10).await.unwrap();
        store.delete_expired_keys(now, 10).await.unwrap();
        store.delete_ended_leases().await.unwrap();
        store.take_census().await.unwrap();
        let found = store.writer.execute("SELECT * FROM temp.mark").await;
        found.expect("the connection is the same");
    }
}
