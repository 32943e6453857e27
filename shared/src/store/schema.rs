//! Whether the database's schema is this program's.

use std::collections::BTreeSet;

use sqlx::{
    Acquire,
    migrate::{Migrate, MigrateError, Migrator},
};

use super::StoreError;

/// The versions of the migrations that have been applied.
pub(super) const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success";

/// Applies what is missing.
pub(super) async fn migrate<'a, A>(migrations: &Migrator, database: A) -> Result<(), StoreError>
where
    A: Acquire<'a>,
    <A::Connection as std::ops::Deref>::Target: Migrate,
{
    migrations.run(database).await.map_err(|error| match error {
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Schema(other.to_string().into()),
    })
}

/// Compares what is applied with what this program knows.
pub(super) fn check(
    migrations: &Migrator,
    applied: Result<Vec<i64>, sqlx::Error>,
) -> Result<(), StoreError> {
    let applied: BTreeSet<i64> = match applied {
        Ok(versions) => versions.into_iter().collect(),
        // No such table: nothing was ever applied.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
            BTreeSet::new()
        }
        Err(error) => return Err(error.into()),
    };
    let known: BTreeSet<i64> = migrations.iter().map(|step| step.version).collect();
    if let Some(missing) = known.difference(&applied).next() {
        return Err(StoreError::Schema(
            format!("step {missing} is missing; run `coatcheck migrate`").into(),
        ));
    }
    // A later program's steps are forward-compatible with the version before it.
    Ok(())
}
