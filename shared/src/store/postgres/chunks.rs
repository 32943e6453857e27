//! Bodies too large for their job's row.

crate::store::chunks::define_chunks!(sqlx::Postgres);
