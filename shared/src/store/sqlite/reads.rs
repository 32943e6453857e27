//! What reads the same in every dialect.

use super::{SqliteStore, chunks};

crate::store::reads::implement_reads!(SqliteStore, sqlx::Sqlite, metadata: "metadata");
