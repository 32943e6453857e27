//! Whether the database's schema is this program's.
//!
//! The schema may be a later program's: each step is made so that the release before it works on.
//! A step that takes away what an older release needs says so in its file's name, as in
//! `0007_breaking_….sql`, and whoever does not know it refuses to work with it.

use std::collections::BTreeSet;

use sqlx::{
    Acquire,
    migrate::{Migrate, MigrateError, Migrator},
};

use super::StoreError;

/// The versions of the migrations that have been applied, and their names.
pub(super) const APPLIED: &str = "SELECT version, description FROM _sqlx_migrations WHERE success";

/// What the name of a step begins with that is not for releases that do not know it.
const BREAKING: &str = "breaking ";

/// Applies what is missing. What a later program has applied stays.
pub(super) async fn migrate<'a, A>(migrations: &Migrator, database: A) -> Result<(), MigrateError>
where
    A: Acquire<'a>,
    <A::Connection as std::ops::Deref>::Target: Migrate,
{
    let mut tolerant = Migrator::with_migrations(migrations.iter().cloned().collect());
    tolerant.set_ignore_missing(true);
    tolerant.run(database).await
}

/// What it means that a step could not be applied.
pub(super) fn failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Schema(other.to_string().into()),
    }
}

/// Compares what is applied with what this program knows.
pub(super) fn check(
    migrations: &Migrator,
    applied: Result<Vec<(i64, String)>, sqlx::Error>,
) -> Result<(), StoreError> {
    let applied = known_to_fit(migrations, applied)?;
    let missing = migrations
        .iter()
        .find(|step| !applied.contains(&step.version));
    match missing {
        None => Ok(()),
        Some(step) => Err(StoreError::Schema(
            format!("step {} is missing; run `coatcheck migrate`", step.version).into(),
        )),
    }
}

/// The versions that are applied, where this program may work with all of them.
pub(super) fn known_to_fit(
    migrations: &Migrator,
    applied: Result<Vec<(i64, String)>, sqlx::Error>,
) -> Result<BTreeSet<i64>, StoreError> {
    let applied = match applied {
        Ok(steps) => steps,
        // No such table: nothing was ever applied.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let breaking = applied.iter().find(|(version, description)| {
        description.starts_with(BREAKING) && !migrations.version_exists(*version)
    });
    match breaking {
        None => Ok(applied.into_iter().map(|(version, _)| version).collect()),
        Some((version, description)) => Err(StoreError::Schema(
            format!(
                "step {version} ({description}) is a later release's, and this one cannot work \
                 with it; run that release"
            )
            .into(),
        )),
    }
}
