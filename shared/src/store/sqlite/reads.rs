//! What reads the same in every dialect.

use super::SqliteStore;

// SQLite's `->>` takes no key with a quote in it.
crate::store::reads::implement_reads!(
    SqliteStore,
    sqlx::Sqlite,
    payloads: reader,
    metadata: "EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ", " AND value = ", ")"
);
