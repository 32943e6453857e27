//! The cold moves that a client asks for.

use uuid::Uuid;

use super::{PostgresStore, deletion};

crate::store::client_moves::define_client_moves!(
    PostgresStore,
    sqlx::Postgres,
    of_tenant: "= ANY($2) ORDER BY job.id FOR UPDATE OF job"
);

fn list_of(ids: &[JobId]) -> Vec<Uuid> {
    ids.iter().map(|id| *id.as_uuid()).collect()
}
