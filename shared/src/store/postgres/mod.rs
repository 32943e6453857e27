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
#[cfg(test)]
mod plan_tests;
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
///
/// A list is joined to a table by `id = ANY (ARRAY[list.id])` for the same reason: where it says
/// `id = list.id`, a plan made over few rows hashes the whole table, and would do so when there are
/// a million. This, with sequential scans forbidden, is planned as a look into the index for each.
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
        clock::SystemClock,
        job::{Idempotency, Inserted, LeaseId, NewJob, Tenant, Unique, UniqueMode},
        store::{
            JobStore, KeeperStore, ReadStore, RunStore,
            conformance::{empty_postgres, new_job},
        },
    };

    #[tokio::test]
    async fn a_key_that_is_taken_anew_while_it_is_being_forgotten_stays() {
        let store = with_schema().await;
        let job = new_job();
        let expired_at = job.created_at.after(Duration::from_secs(60));
        let idempotency = Some(Idempotency {
            key: "key".to_owned(),
            fingerprint: [7; 32],
            status: 202,
            expires_at: expired_at,
        });
        store
            .insert(vec![NewJob { idempotency, ..job }])
            .await
            .unwrap();
        let now = expired_at.after(Duration::from_secs(1));
        let mut taking = store.begin().await.unwrap();
        sqlx::query("UPDATE idempotency_keys SET expires_at = $1")
            .bind(now.after(Duration::from_secs(60)))
            .execute(&mut *taking)
            .await
            .unwrap();
        assert_eq!(store.delete_expired_keys(now, 10).await.unwrap(), 0);
        taking.commit().await.unwrap();
        assert_eq!(store.delete_expired_keys(now, 10).await.unwrap(), 0);
        let tenant = Tenant::default();
        assert!(
            store
                .has_idempotency_key(&tenant, "key", now)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_unique_key_that_is_given_back_while_it_is_asked_for_is_taken() {
        let store = with_schema().await;
        let unique = || NewJob {
            unique: Some(Unique {
                key: "key".to_owned(),
                mode: UniqueMode::WhileActive,
            }),
            ..new_job()
        };
        store.insert(vec![unique()]).await.unwrap();
        let mut giving_back = store.begin().await.unwrap();
        let locked = "SELECT 1 FROM unique_keys FOR UPDATE";
        giving_back.execute(locked).await.unwrap();
        let given_back = async {
            until_so_many_wait(&store, 1).await;
            giving_back
                .execute("DELETE FROM unique_keys")
                .await
                .unwrap();
            giving_back.commit().await.unwrap();
        };
        let second = unique();
        let job = second.id;
        let (inserted, ()) = tokio::join!(store.insert(vec![second]), given_back);
        assert_eq!(inserted.unwrap(), [Inserted::Stored { replaced: None }]);
        let third = store.insert(vec![unique()]).await.unwrap();
        assert_eq!(third, [Inserted::UniqueExists { job }]);
    }

    #[tokio::test]
    async fn two_looks_at_once_for_the_jobs_of_a_dead_worker_are_one() {
        let store = with_schema().await;
        let (lease, job) = (LeaseId::generate(&SystemClock), new_job());
        let (id, kind, now) = (job.id, job.kind.clone(), job.created_at);
        store.insert(vec![job]).await.unwrap();
        let duration = Duration::from_secs(600);
        store.open_lease(lease, "a-worker", duration).await.unwrap();
        store.claim(lease, &[id], &[kind], now).await.unwrap();
        store.close_lease(lease).await.unwrap();
        let mut locking = store.begin().await.unwrap();
        locking
            .execute("SELECT 1 FROM jobs FOR UPDATE")
            .await
            .unwrap();
        let unlocked = async {
            until_so_many_wait(&store, 2).await;
            locking.commit().await.unwrap();
        };
        let (first, second, ()) =
            tokio::join!(store.rescue(now, 10), store.rescue(now, 10), unlocked);
        assert_eq!(
            first.unwrap().requeued.len() + second.unwrap().requeued.len(),
            1
        );
        let sweeps: i32 = sqlx::query_scalar("SELECT sweeps FROM leases")
            .fetch_one(&store.reader)
            .await
            .unwrap();
        assert_eq!(sweeps, 1, "the second is due a minute later");
    }

    #[tokio::test]
    async fn looking_for_the_jobs_of_a_dead_worker_may_take_long() {
        let schema = with_schema().await;
        let (lease, job) = (LeaseId::generate(&SystemClock), new_job());
        let (id, kind, now) = (job.id, job.kind.clone(), job.created_at);
        schema.insert(vec![job]).await.unwrap();
        let duration = Duration::from_secs(600);
        schema
            .open_lease(lease, "a-worker", duration)
            .await
            .unwrap();
        schema.claim(lease, &[id], &[kind], now).await.unwrap();
        schema.close_lease(lease).await.unwrap();
        let mut locking = schema.begin().await.unwrap();
        locking
            .execute("SELECT 1 FROM jobs FOR UPDATE")
            .await
            .unwrap();
        // Beyond it, and beyond the server's own limit, which is twice this.
        let deadline = Duration::from_millis(400);
        let store = connected_anew(&schema, 2, deadline).await;
        let unlocked = async {
            tokio::time::sleep(deadline * 4).await;
            locking.commit().await.unwrap();
        };
        let (rescued, ()) = tokio::join!(store.rescue(now, 10), unlocked);
        assert_eq!(rescued.unwrap().requeued.len(), 1);
    }

    /// Another store on the database of this one.
    pub(super) async fn connected_anew(
        store: &PostgresStore,
        connections: u32,
        deadline: Duration,
    ) -> PostgresStore {
        let name: String = sqlx::query_scalar("SELECT current_database()")
            .fetch_one(&store.writer)
            .await
            .unwrap();
        let server = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(&name);
        let settings = PostgresSettings {
            url: url.to_string().into(),
            connections,
            deadline,
        };
        PostgresStore::connect(&settings).unwrap()
    }

    async fn with_schema() -> PostgresStore {
        let store = empty_postgres().await;
        store.migrate().await.unwrap();
        store
    }

    /// Returns once so many transactions wait for what others have locked.
    async fn until_so_many_wait(store: &PostgresStore, count: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let asked = Instant::now();
        while count
            != sqlx::query_scalar::<_, i64>(waiting)
                .fetch_one(&store.reader)
                .await
                .unwrap()
        {
            assert!(asked.elapsed() < Duration::from_secs(10), "nobody waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
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
