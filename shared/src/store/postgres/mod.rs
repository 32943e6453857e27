//! The store in Postgres, for any number of API and worker processes.

mod asking;
mod census;
mod chunks;
mod claims;
mod client_moves;
mod deletion;
mod facts;
mod inserts;
mod jobs;
mod keeping;
mod lookups;
mod migrating;
mod moves;
mod reads;
mod registry;
mod runs;
mod transaction;
mod uniqueness;

use std::{future::Future, str::FromStr, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{ConnectOptions, Postgres, migrate::Migrator, postgres::PgConnectOptions};

pub use self::facts::PostgresFacts;
use self::transaction::Transaction;
use super::{
    PoolUse, StoreError,
    lookups::Lookups,
    pool::{Limits, Pool},
};

/// The schema, step by step.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// How long a connection is used: the server's process grows with what it has done.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

/// How Postgres plans what is on the way of a job: once for each connection, and by an index. Left
/// to itself it plans each claim and each look at jobs anew, which takes longer than doing it: it
/// takes ten ids for what a list of unknown length holds, and so prefers a plan for the list at
/// hand. And while a table is new it plans to read all of it, which would then stay. Forbidden scans
/// count as so dear that one which cannot be helped would be compiled first.
const PLANNED_ONCE: [(&str, &str); 3] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// How a [`PostgresStore`] is reached.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: secrecy::SecretString,
    /// The most connections that are held; two at least.
    pub connections: u32,
    /// How long one answer may take.
    pub deadline: Duration,
}

/// The store in Postgres.
pub struct PostgresStore {
    /// Half of the connections: for lists, counts, results, and whatever else may take its time.
    reader: Pool<Postgres>,
    /// The other half: for moves, and for looks at jobs by their ids. Each is planned once.
    writer: Pool<Postgres>,
    deadline: Duration,
    lookups: Lookups,
}

impl super::Store for PostgresStore {
    fn connections(&self) -> Vec<PoolUse> {
        vec![self.reader.usage(), self.writer.usage()]
    }
}

impl PostgresStore {
    /// A store on a database whose schema is there. Connections are made when they are needed; there
    /// must be a runtime.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn connect(settings: &PostgresSettings) -> Result<Self, StoreError> {
        // A statement whose caller has given up must not go on for long.
        let statement_limit = (settings.deadline * 2).as_millis().to_string();
        let options = PgConnectOptions::from_str(settings.url.expose_secret())
            .map_err(|_| StoreError::Schema("DATABASE_URL is no postgres:// URL".into()))?
            .application_name("coatcheck")
            .options([
                ("statement_timeout", statement_limit.as_str()),
                // Nor must one's transaction that is gone without a word keep what it has locked:
                // the keys of its submissions, say.
                (
                    "idle_in_transaction_session_timeout",
                    statement_limit.as_str(),
                ),
            ])
            .disable_statement_logging();
        let writers = settings.connections.div_ceil(2);
        let readers = settings.connections.saturating_sub(writers).max(1);
        let planned_once = options.clone().options(PLANNED_ONCE);
        let limits = |most| Limits {
            most,
            deadline: settings.deadline,
            longest_life: Some(LONGEST_LIFE),
        };
        let reader = Pool::new("reader", options, limits(readers));
        let writer = Pool::new("writer", planned_once, limits(writers));
        Ok(Self {
            lookups: lookups::start(writer.clone(), settings.deadline),
            reader,
            writer,
            deadline: settings.deadline,
        })
    }

    async fn begin(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(&self.writer).await
    }

    /// See [`asking::within`].
    async fn within<Asked, T>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> Asked + Send,
    ) -> Result<T, StoreError>
    where
        Asked: Future<Output = Result<T, StoreError>> + Send,
    {
        asking::within(self.deadline, operation, ask).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use sqlx::Executor;

    use super::{PostgresSettings, PostgresStore};
    use crate::{
        clock::{Clock, SystemClock},
        job::{JobId, LeaseId, Tenant},
        store::{
            JobStore, ReadStore, RegistryStore, RunStore,
            conformance::{empty_postgres, new_job},
            sql,
        },
    };

    #[tokio::test]
    async fn lanes_are_found_without_reading_all_that_waits() {
        let store = empty_postgres().await;
        store.migrate().await.unwrap();
        store.create_queue(&new_job().queue).await.unwrap();
        let waiting = (0..5_000).map(|_| new_job()).collect();
        store.insert(waiting).await.unwrap();
        store.reader.execute("ANALYZE jobs").await.unwrap();
        assert_eq!(store.lanes().await.unwrap().len(), 1);
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN {}", sql::LANES));
        let plan: Vec<String> = sqlx::query_scalar(explained)
            .fetch_all(&store.reader)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("using jobs_active"), "{plan}");
        assert!(!plan.contains("Scan on jobs "), "{plan}");
    }

    #[tokio::test]
    async fn what_is_on_the_way_of_a_job_is_planned_once() {
        let schema = empty_postgres().await;
        schema.migrate().await.unwrap();
        let name: String = sqlx::query_scalar("SELECT current_database()")
            .fetch_one(&schema.writer)
            .await
            .unwrap();
        let server = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(&name);
        // One of them for moves: all of these are planned by the same.
        let store = PostgresStore::connect(&PostgresSettings {
            url: url.to_string().into(),
            connections: 2,
            deadline: Duration::from_secs(10),
        });
        let store = store.unwrap();
        let lease = LeaseId::generate(&SystemClock);
        for _ in 0..10 {
            let id = JobId::generate(&SystemClock);
            let now = SystemClock.now();
            store.get(&Tenant::default(), id).await.unwrap();
            store.claim(lease, &[id], &[], now).await.unwrap();
        }
        let planned: Vec<(i64, i64, String)> = sqlx::query_as(
            "SELECT generic_plans, custom_plans, statement FROM pg_prepared_statements \
             WHERE statement LIKE '%jobs%' AND statement NOT LIKE '%pg_prepared%'",
        )
        .fetch_all(&store.writer)
        .await
        .unwrap();
        assert_eq!(planned.len(), 3, "{planned:?}");
        for (generic, custom, statement) in planned {
            assert!(generic > 0 && custom == 0, "{statement}");
        }
    }

    #[tokio::test]
    async fn a_transaction_whose_client_is_gone_gives_back_what_it_has_locked() {
        let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
        let store = PostgresStore::connect(&PostgresSettings {
            url: url.into(),
            // Two of them for moves: one is gone, and the other waits for what it holds.
            connections: 4,
            deadline: Duration::from_millis(500),
        });
        let store = store.unwrap();
        // A number that no other test locks.
        let lock = "SELECT pg_advisory_xact_lock(7135246)";
        let mut gone = store.begin().await.unwrap();
        gone.execute(lock).await.unwrap();
        let begun = Instant::now();
        // Nothing more is heard of it, and it is not dropped.
        while store.writer.execute(lock).await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it is locked for good"
            );
        }
        drop(gone);
    }
}
