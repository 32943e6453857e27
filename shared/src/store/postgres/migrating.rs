//! Bringing the schema up while the system runs.
//!
//! A step in a transaction takes a table for a moment, or goes away again. One without, as that which
//! builds an index, lets others read and write meanwhile, and so may wait for as long as it takes.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection,
    migrate::{MigrateError, Migration, Migrator},
    postgres::PgConnectOptions,
};

use super::{MIGRATIONS, PostgresStore};
use crate::store::{StoreError, schema};

/// How long a step waits for a table that someone else reads or writes. Whoever comes after it waits
/// behind it, so this is shorter than the deadline of a submission.
const IN_A_TRANSACTION: &str = "SET lock_timeout = '1s'";
const WITHOUT_ONE: &str = "SET lock_timeout = 0";
/// How long the others then go first.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is tried.
const TRIES: u32 = 60;

/// Of whoever migrates this database.
const LOCK: i64 = i64::from_be_bytes(*b"coatchek");
/// How often it is tried to be had, a minute long.
const LOOKS: u32 = 600;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The indexes that a step names and that an earlier go at it has left half built.
const HALF_BUILT: &str = "SELECT format('DROP INDEX CONCURRENTLY %I', relname) \
     FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
     WHERE NOT indisvalid AND relnamespace = current_schema()::text::regnamespace \
         AND strpos($1, relname) > 0";

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
        // A step may take its time, as building an index does.
        let options = self
            .writer
            .options()
            .clone()
            .options([("statement_timeout", "0")]);
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
    lock(&mut connection).await?;
    let mut steps = schema::tolerant(migrations);
    steps.set_locking(false);
    for step in migrations.iter() {
        if step.no_tx {
            connection.execute(WITHOUT_ONE).await?;
            drop_half_built(&mut connection, step).await?;
        } else {
            connection.execute(IN_A_TRANSACTION).await?;
        }
        steps.run_to(step.version, &mut connection).await?;
    }
    Ok(connection.close().await?)
}

/// Waits until nobody else migrates. It asks again and again: a statement that waits holds a
/// snapshot, for whose end whoever builds an index would wait in turn. sqlx's own lock is such a one.
async fn lock(connection: &mut PgConnection) -> Result<(), MigrateError> {
    for _ in 0..LOOKS {
        let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *connection)
            .await?;
        if locked {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Err(MigrateError::Execute(sqlx::Error::Protocol(
        "another process has been bringing the schema up for a minute; wait for it and try again"
            .to_owned(),
    )))
}

/// Postgres leaves an index behind whose building was broken off, and takes no other of its name.
async fn drop_half_built(
    connection: &mut PgConnection,
    step: &Migration,
) -> Result<(), MigrateError> {
    let drops: Vec<String> = sqlx::query_scalar(HALF_BUILT)
        .bind(step.sql.as_str())
        .fetch_all(&mut *connection)
        .await?;
    for drop in drops {
        connection.execute(AssertSqlSafe(drop)).await?;
    }
    Ok(())
}

/// Whether someone else held a table.
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
    use sqlx::SqlSafeStr;

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

    /// The steps of before that which builds the first index of its own.
    fn earlier_release() -> Migrator {
        Migrator::with_migrations(
            MIGRATIONS
                .iter()
                .take_while(|it| !it.no_tx)
                .cloned()
                .collect(),
        )
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rows_are_written_while_an_index_is_built() {
        const WRITE: &str = "UPDATE jobs SET crashes = crashes";
        const BUILT: &str = "SELECT oid::bigint FROM pg_class WHERE relname = 'jobs_suspected'";
        let store = empty_postgres().await;
        store.migrate_to(&earlier_release()).await.unwrap();
        let mut writer = store.begin().await.unwrap();
        writer.execute(WRITE).await.unwrap();

        let migrating = store.migrate();
        tokio::pin!(migrating);
        let others = async {
            let mut begun: Option<i64> = None;
            // Longer than a step in a transaction would have waited.
            for _ in 0..15 {
                let written = store.writer.execute(WRITE);
                tokio::time::timeout(PAUSE / 2, written)
                    .await
                    .unwrap()
                    .unwrap();
                tokio::time::sleep(PAUSE / 10).await;
                let built = sqlx::query_scalar(BUILT).fetch_optional(&store.writer);
                begun = begun.or(built.await.unwrap());
            }
            begun
        };
        let begun = tokio::select! {
            outcome = &mut migrating => panic!("it did not wait for the writer: {outcome:?}"),
            begun = others => begun,
        };
        writer.commit().await.unwrap();
        tokio::time::timeout(LIMIT, migrating)
            .await
            .unwrap()
            .unwrap();
        store.check_schema().await.unwrap();
        let built: i64 = sqlx::query_scalar(BUILT)
            .fetch_one(&store.writer)
            .await
            .unwrap();
        assert_eq!(begun, Some(built), "the first go was given up");
    }

    #[tokio::test]
    async fn an_index_that_was_left_half_built_is_built_again() {
        const INVALID: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
        let store = empty_postgres().await;
        store.migrate_to(&earlier_release()).await.unwrap();
        store
            .writer
            .execute("INSERT INTO queues (name) VALUES ('a'), ('b')")
            .await
            .unwrap();
        let broken_off = "CREATE UNIQUE INDEX CONCURRENTLY jobs_suspected ON queues ((1))";
        store.writer.execute(broken_off).await.unwrap_err();
        let invalid = async || {
            let count: i64 = sqlx::query_scalar(INVALID)
                .fetch_one(&store.writer)
                .await
                .unwrap();
            count
        };
        assert_eq!(invalid().await, 1);
        store.migrate().await.unwrap();
        assert_eq!(invalid().await, 0);
        let built: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_indexes WHERE indexname = 'jobs_suspected'",
        )
        .fetch_one(&store.writer)
        .await
        .unwrap();
        assert_eq!(built, 1);
    }
}
