//! Whether the database's schema is this program's.
//!
//! The schema may be a later program's: each step is made so that the release before it works on.
//! A step that takes away what an older release needs says so in its file's name, as in
//! `0007_breaking_….sql`, and whoever does not know it refuses to work with it.

use std::collections::BTreeSet;

use sqlx::migrate::{MigrateError, Migrator};

use super::StoreError;

/// The versions of the migrations that have been applied, and their names.
pub(super) const APPLIED: &str = "SELECT version, description FROM _sqlx_migrations WHERE success";

/// What the name of a step begins with that is not for releases that do not know it.
const BREAKING: &str = "breaking ";

/// These steps, to be applied beside those that a later program has applied.
pub(super) fn tolerant(migrations: &Migrator) -> Migrator {
    let mut tolerant = Migrator::with_migrations(migrations.iter().cloned().collect());
    tolerant.set_ignore_missing(true);
    tolerant
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{postgres, sqlite};

    /// Each step as it has been on main, by the beginning of its checksum. Databases have these steps
    /// applied, and refuse a program in which one reads otherwise, comments included: whoever needs
    /// another schema adds a step, and its line here.
    const FROZEN: [(&str, &str); 5] = [
        ("postgres 1", "76172c85a23cd364"),
        ("postgres 2", "9274415705a22ca5"),
        ("postgres 3", "44a5ace45e1b4be0"),
        ("sqlite 1", "be9fa964fcd74df9"),
        ("sqlite 3", "5ff9c2236241cfa4"),
    ];

    #[test]
    fn no_step_is_changed_that_databases_have_applied() {
        let steps = |dialect, migrations: &'static Migrator| {
            migrations.iter().map(move |step| {
                let checksum: String = step
                    .checksum
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                (
                    format!("{dialect} {}", step.version),
                    checksum[..16].to_owned(),
                )
            })
        };
        let found: Vec<_> = steps("postgres", &postgres::MIGRATIONS)
            .chain(steps("sqlite", &sqlite::MIGRATIONS))
            .collect();
        let frozen = FROZEN.map(|(step, checksum)| (step.to_owned(), checksum.to_owned()));
        assert_eq!(found, frozen);
    }
}
