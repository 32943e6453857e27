//! What `coatcheck check` asks an SQLite file, without making or changing it.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::MIGRATIONS;
use crate::store::{StoreError, schema};

/// How long the file may be read through.
const LONGEST_CHECK: Duration = Duration::from_secs(60);
/// How long another program may hold the file.
const BUSY: Duration = Duration::from_secs(5);

/// How an SQLite file is.
#[derive(Clone, Debug)]
pub struct SqliteFacts {
    /// What is wrong inside of it; none where nothing is.
    pub damage: Option<String>,
    /// Whether its schema is this program's; the next start brings it up.
    pub schema_is_current: bool,
}

/// Reads a file through, and tries to lock it for writing.
///
/// # Errors
/// Where it cannot be opened, read, or locked.
pub async fn facts(path: &Path) -> Result<SqliteFacts, StoreError> {
    let asking = async {
        let mut connection = connect(SqliteConnectOptions::new().filename(path)).await?;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await?;
        sqlx::query("ROLLBACK").execute(&mut connection).await?;
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&mut connection)
            .await?;
        let applied = sqlx::query_as(schema::APPLIED)
            .fetch_all(&mut connection)
            .await;
        connection.close().await?;
        Ok(SqliteFacts {
            damage: (found != "ok").then_some(found),
            schema_is_current: schema::check(&MIGRATIONS, applied).is_ok(),
        })
    };
    within(asking).await
}

/// Whether a file of this path can keep a write-ahead log and be written: not on every network
/// file system. To be called with a path at which nothing is; something is there afterwards.
///
/// # Errors
/// Where a file cannot be made there, or not written.
pub async fn can_keep_a_log(path: &Path) -> Result<bool, StoreError> {
    let trying = async {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Delete);
        let mut connection = connect(options).await?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
            .fetch_one(&mut connection)
            .await?;
        sqlx::query("CREATE TABLE tried (it integer)")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(mode == "wal")
    };
    within(trying).await
}

async fn connect(options: SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    options
        .busy_timeout(BUSY)
        .disable_statement_logging()
        .connect()
        .await
}

async fn within<T>(asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(LONGEST_CHECK, asking)
        .await
        .unwrap_or_else(|_| Err(StoreError::timed_out()))
}
