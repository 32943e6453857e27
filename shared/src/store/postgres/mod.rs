//! The store in Postgres, for any number of API and worker processes.

mod census;
mod chunks;
mod claims;
mod client_moves;
mod deletion;
mod facts;
mod given_up;
mod inserts;
mod jobs;
mod keeping;
mod migrating;
mod moves;
mod reads;
mod runs;
mod transaction;
mod uniqueness;

use std::{future::Future, pin::pin, str::FromStr, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{
    ConnectOptions, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use self::facts::PostgresFacts;
use self::{given_up::GivenUp, transaction::Transaction};
use super::{PoolUse, StoreError, deadline};

/// The schema, step by step.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// How a [`PostgresStore`] is reached.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: secrecy::SecretString,
    /// The most connections that are held.
    pub connections: u32,
    /// How long one answer may take.
    pub deadline: Duration,
}

/// The store in Postgres.
pub struct PostgresStore {
    reader: PgPool,
    writer: PgPool,
    deadline: Duration,
    given_up: GivenUp,
}

impl super::Store for PostgresStore {
    fn connections(&self) -> Vec<PoolUse> {
        // The reader is the same pool.
        vec![PoolUse::of("all", &self.writer)]
    }
}

impl PostgresStore {
    /// A store on a database whose schema is there. Connections are made when they are needed.
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
        let (given_up, deadline) = (GivenUp::never(), settings.deadline);
        let looked_at = given_up.clone();
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.deadline)
            // Asking each time whether the connection is alive would double the round trips; a
            // dead one is found by its error, and every verb is tried twice.
            .test_before_acquire(false)
            .after_release(move |connection, _| {
                let looked_at = looked_at.clone();
                Box::pin(async move { looked_at.is_usable(connection, deadline).await })
            })
            .connect_lazy_with(options);
        Ok(Self {
            reader: pool.clone(),
            writer: pool,
            deadline,
            given_up,
        })
    }

    async fn begin(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(&self.writer).await
    }

    /// Asks within the deadline, and once more where the connection turns out to be dead. Every
    /// verb of the store may be asked twice: see there.
    async fn within<Asked, T>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> Asked + Send,
    ) -> Result<T, StoreError>
    where
        Asked: Future<Output = Result<T, StoreError>> + Send,
    {
        deadline::within(self.deadline, operation, async {
            let mut answer = pin!(async {
                match ask().await {
                    Err(error) if error.is_unavailable() => ask().await,
                    answer => answer,
                }
            });
            // After what it is about, so that it is dropped before the connection is.
            let question = self.given_up.question();
            let answer = answer.as_mut().await;
            question.answered();
            answer
        })
        .await
    }
}
