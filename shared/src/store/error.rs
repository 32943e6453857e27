//! What can go wrong in a store.

use std::{error::Error, sync::Arc};

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is shutting down, or did not answer in time. What was
    /// asked may have been done: only its answer is missing.
    #[error("the database is not available: {0}")]
    Unavailable(Arc<str>),
    /// The database refused the statement, or holds what the program cannot read: a bug here, or
    /// a schema of another version.
    #[error("the database failed: {0}")]
    Failed(Arc<dyn Error + Send + Sync>),
    /// A row holds something that no version of the program writes.
    #[error("the database holds a {what} that cannot be read: {detail}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        detail: Arc<str>,
    },
    /// A bug here, which the log tells of. What was asked may have been done.
    #[error("the program panicked in asking the database")]
    Panicked,
    /// A migration is missing, unknown, or failed.
    #[error("the database's schema does not fit this program: {0}")]
    Schema(Arc<str>),
}

impl StoreError {
    /// That nothing answered within its deadline.
    pub fn timed_out() -> Self {
        Self::Unavailable("no answer in time".into())
    }

    /// That a value in the database cannot be read.
    pub fn corrupt(what: &'static str, detail: impl ToString) -> Self {
        Self::Corrupt {
            what,
            detail: detail.to_string().into(),
        }
    }

    /// Whether asking again later may help.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error.to_string().into()),
            sqlx::Error::Database(refusal)
                if refusal.code().is_some_and(|code| is_passing(&code)) =>
            {
                Self::Unavailable(error.to_string().into())
            }
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _)
                if is_passing_in_sqlite(failure.extended_code.unsigned_abs()) =>
            {
                Self::Unavailable(error.to_string().into())
            }
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

/// Whether a database's error code stands for a state that passes.
fn is_passing(code: &str) -> bool {
    // Postgres, by SQLSTATE class: 08 connection, 40 rolled back (deadlock, serialisation),
    // 53 out of resources, 55 in use, 57 operator intervention, 58 system error (disk).
    let postgres = code.len() == 5
        && ["08", "40", "53", "55", "57", "58"]
            .iter()
            .any(|class| code.starts_with(class));
    let sqlite = code
        .parse::<u32>()
        .is_ok_and(|number| code.len() < 5 && is_passing_in_sqlite(number));
    postgres || sqlite
}

/// Whether an error code of SQLite stands for a state that passes. The primary code is in the low
/// byte: 5 busy, 6 locked, 10 disk I/O, 13 disk full, 14 the file cannot be opened.
const fn is_passing_in_sqlite(code: u32) -> bool {
    matches!(code & 0xff, 5 | 6 | 10 | 13 | 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_faults_are_told_from_bugs() {
        for passing in [
            "57P01", "53300", "40P01", "08006", "5", "261", "13", "778", "14",
        ] {
            assert!(is_passing(passing), "{passing}");
        }
        for bug in ["23505", "42601", "22P02", "1", "19", "1555"] {
            assert!(!is_passing(bug), "{bug}");
        }
    }
}
