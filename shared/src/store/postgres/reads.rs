//! What reads the same in every dialect.

use super::PostgresStore;

crate::store::reads::implement_reads!(
    PostgresStore,
    sqlx::Postgres,
    payloads: writer,
    metadata: "metadata::jsonb ->> ", " = ", ""
);
