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
#[cfg(test)]
mod tests;
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
    /// The other half: for moves, and for looks at jobs and payloads by their ids. Each is planned once.
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
