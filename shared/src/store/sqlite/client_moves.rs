//! The cold moves that a client asks for.

use super::{SqliteStore, deletion, ids_as_json};

crate::store::client_moves::define_client_moves!(
    SqliteStore,
    sqlx::Sqlite,
    of_tenant: "IN (SELECT unhex(value) FROM json_each($2))"
);

fn list_of(ids: &[JobId]) -> String {
    ids_as_json(ids)
}
