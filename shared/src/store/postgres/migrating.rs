//! Bringing the schema up while the system runs.

use std::time::Duration;

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use super::{MIGRATIONS, PostgresStore};
use crate::store::{StoreError, schema};

/// How long a step waits for a table that someone else reads or writes. Whoever comes after it waits
/// behind it, so this is shorter than the deadline of a submission.
const LOCK_TIMEOUT: &str = "1s";
/// How long the others then go first.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is tried.
const TRIES: u32 = 60;

impl PostgresStore {
    /// Brings the schema up to this program's. What a later one has applied stays. Several at once
    /// wait for one another.
    ///
    /// # Errors
    /// Where the database cannot be reached, a step fails, or this program cannot work with what a
    /// later one has applied.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_to(&MIGRATIONS).await
    }

    /// Whether this program can work with the schema.
    ///
    /// # Errors
    /// Where it cannot, saying what to do.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        schema::check(&MIGRATIONS, self.applied().await)
    }

    async fn migrate_to(&self, migrations: &Migrator) -> Result<(), StoreError> {
        schema::known_to_fit(migrations, self.applied().await)?;
        // A step may take its time, as building an index does; it must not be waited for.
        let options = PgConnectOptions::clone(&self.writer.connect_options())
            .options([("statement_timeout", "0"), ("lock_timeout", LOCK_TIMEOUT)]);
        let mut tries = 1;
        loop {
            match migrate_over(&options, migrations).await {
                Ok(()) => return Ok(()),
                Err(error) if tries < TRIES && is_locked_out(&error) => {
                    tracing::info!(%error, "the schema is in use; trying again");
                }
                Err(error) => return Err(schema::failed(error)),
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn applied(&self) -> Result<Vec<(i64, String)>, sqlx::Error> {
        sqlx::query_as(schema::APPLIED)
            .fetch_all(&self.writer)
            .await
    }
}

/// On a connection of its own, whose end gives back every lock.
async fn migrate_over(
    options: &PgConnectOptions,
    migrations: &Migrator,
) -> Result<(), MigrateError> {
    let mut connection: PgConnection = options.connect().await?;
    schema::migrate(migrations, &mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether someone else held the lock, on a table or on migrating as such.
fn is_locked_out(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

#[cfg(test)]
mod tests {
    use sqlx::{Executor, SqlSafeStr, migrate::Migration};

    use super::*;
    use crate::store::conformance::empty_postgres;

    /// Longer than anything here may take.
    const LIMIT: Duration = Duration::from_secs(20);

    /// This program's steps, and one of a later release.
    fn later_release(description: &'static str) -> Migrator {
        let step = Migration::new(
            9_000,
            description.into(),
            sqlx::migrate::MigrationType::Simple,
            "ALTER TABLE jobs ADD COLUMN of_a_later_release text".into_sql_str(),
            false,
        );
        Migrator::with_migrations(MIGRATIONS.iter().cloned().chain([step]).collect())
    }

    #[tokio::test]
    async fn a_later_releases_step_is_worked_with() {
        let store = empty_postgres().await;
        store
            .migrate_to(&later_release("some column"))
            .await
            .unwrap();
        store.check_schema().await.unwrap();
        store.migrate().await.unwrap();
    }

    #[tokio::test]
    async fn a_later_releases_step_that_breaks_this_one_is_refused_by_name() {
        let store = empty_postgres().await;
        let later = later_release("breaking some column");
        store.migrate_to(&later).await.unwrap();
        store.migrate_to(&later).await.unwrap();
        for refused in [store.check_schema().await, store.migrate().await] {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("step 9000 (breaking some column)"), "{said}");
        }
    }

    #[tokio::test]
    async fn several_migrate_at_once() {
        let store = empty_postgres().await;
        tokio::try_join!(store.migrate(), store.migrate(), store.migrate()).unwrap();
        store.check_schema().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_step_that_waits_for_a_table_lets_others_use_it() {
        const READ: &str = "SELECT count(*) FROM jobs";
        let store = empty_postgres().await;
        store.migrate().await.unwrap();
        let mut reader = store.begin().await.unwrap();
        reader.execute(READ).await.unwrap();

        let later = later_release("some column");
        let migrating = store.migrate_to(&later);
        tokio::pin!(migrating);
        let others = async {
            // The second and the third read find the step waiting before them, whoever was first.
            for _ in 0..3 {
                store.writer.execute(READ).await.unwrap();
                tokio::time::sleep(PAUSE / 2).await;
            }
        };
        tokio::select! {
            outcome = &mut migrating => panic!("a reader held the table: {outcome:?}"),
            outcome = tokio::time::timeout(LIMIT / 2, others) => outcome.unwrap(),
        }
        reader.commit().await.unwrap();
        tokio::time::timeout(LIMIT, migrating)
            .await
            .unwrap()
            .unwrap();
    }
}
