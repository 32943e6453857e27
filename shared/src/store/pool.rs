//! The connections to a database, each lent to one question at a time.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{self, Manager, Metrics, Object, PoolError, QueueMode, RecycleResult, TimeoutType},
};
use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{ConnectOptions, Connection, Database, Describe, Either, Execute, Executor, SqlStr};
use tokio::time::sleep;

use super::PoolUse;

/// After this long without use a connection is asked whether it is alive: a firewall on the way may
/// have forgotten it.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The pauses between tries to reach a server that is only just starting.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A bounded number of connections. A reference to it executes statements, each over a connection
/// that it borrows for it.
///
/// sqlx's own pool asks every connection that comes back whether it is alive: a second round trip
/// (or a second hop to SQLite's thread) for each statement, and one without a deadline, so that a
/// connection whose other end goes without a word in that moment is never replaced. Here a
/// connection comes back at once where what was asked over it has come to its end, and is closed
/// where it has not; and whether one is alive is asked, within a deadline, where there is reason to
/// doubt it.
pub(super) struct Pool<DB: Database> {
    name: &'static str,
    connections: managed::Pool<Connector<DB>>,
}

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many connections there are at most.
    pub(super) most: u32,
    /// How long anybody waits for one.
    pub(super) deadline: Duration,
    /// After this long one that is to be lent makes place for a new one: a server's process grows
    /// with what it has done, and the name may lead to another server by then.
    pub(super) longest_life: Option<Duration>,
}

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            connections: self.connections.clone(),
        }
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.usage().fmt(formatter)
    }
}

impl<DB: Database> Pool<DB> {
    /// A pool whose connections are made when they are needed; there must be a runtime then.
    pub(super) fn new(name: &'static str, options: Options<DB>, limits: Limits) -> Self {
        let Limits {
            most,
            deadline,
            longest_life,
        } = limits;
        let connector = Connector {
            options,
            longest_life,
            patience: deadline / 3,
            doubted_at: Mutex::default(),
        };
        #[expect(clippy::expect_used, reason = "only one without a runtime is refused")]
        let connections = managed::Pool::builder(connector)
            .max_size(most as usize)
            // The one that was used last has the warmest process at its other end.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(deadline))
            .create_timeout(Some(deadline))
            .recycle_timeout(Some(deadline / 4))
            .build()
            .expect("a pool with a runtime");
        Self { name, connections }
    }

    /// How its connections are made.
    pub(super) fn options(&self) -> &Options<DB> {
        &self.connections.manager().options
    }

    /// How its connections are used.
    pub(super) fn usage(&self) -> PoolUse {
        let status = self.connections.status();
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        PoolUse {
            pool: self.name,
            used: number(status.size.saturating_sub(status.available)),
            idle: number(status.available),
            most: number(status.max_size),
        }
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// Where all are lent for too long, or none can be made.
    pub(super) async fn lend(&self) -> Result<Lent<DB>, sqlx::Error> {
        match self.connections.get().await {
            Ok(connection) => Ok(Lent {
                connection: Some(connection),
            }),
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(sqlx::Error::PoolTimedOut),
            Err(PoolError::Timeout(_)) => Err(sqlx::Error::Io(io::Error::new(
                io::ErrorKind::TimedOut,
                "no connection was accepted in time",
            ))),
            Err(_) => Err(sqlx::Error::PoolClosed),
        }
    }
}

/// A connection on loan. It is closed when it is dropped, whatever transaction or answer is still
/// under way over it, unless it has been [settled](Self::settle).
pub(super) struct Lent<DB: Database> {
    /// There until it is settled or dropped.
    connection: Option<Object<Connector<DB>>>,
}

impl<DB: Database> Lent<DB> {
    /// Gives it back: what was asked over it has come to its end.
    pub(super) fn settle(mut self) {
        drop(self.connection.take());
    }

    /// Passes the answer to a lone statement on, and gives the connection back where that is its
    /// end: a refusal is, unless the server ends the connection with it.
    fn settle_with<T>(self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let has_ended = match &answer {
            Ok(_) => true,
            // By SQLSTATE: 08 is about the connection, 57P about a server that shuts down.
            Err(sqlx::Error::Database(refusal)) => !refusal
                .code()
                .is_some_and(|code| code.starts_with("08") || code.starts_with("57P")),
            Err(_) => false,
        };
        if has_ended {
            self.settle();
        }
        answer
    }
}

#[expect(clippy::expect_used, reason = "whoever settles it has it no more")]
impl<DB: Database> Deref for Lent<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        self.connection.as_ref().expect("a connection on loan")
    }
}

#[expect(clippy::expect_used, reason = "whoever settles it has it no more")]
impl<DB: Database> DerefMut for Lent<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect("a connection on loan")
    }
}

impl<DB: Database> Drop for Lent<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            if let Some(pool) = Object::pool(&connection) {
                pool.manager().doubt();
            }
            drop(Object::take(connection));
        }
    }
}

/// Makes connections, and says which are fit to be lent again.
struct Connector<DB: Database> {
    options: Options<DB>,
    longest_life: Option<Duration>,
    /// For how long it tries to reach a server that refuses connections or is only just starting.
    patience: Duration,
    /// When a connection was last closed in the middle. What has ended it may have ended those that
    /// rest, too.
    doubted_at: Mutex<Option<Instant>>,
}

impl<DB: Database> Connector<DB> {
    fn doubt(&self) {
        let mut doubted_at = self
            .doubted_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *doubted_at = Some(Instant::now());
    }

    /// Whether there is reason to doubt a connection that was lent then and not since.
    fn doubts(&self, lent_at: Instant) -> bool {
        let doubted_at = *self
            .doubted_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        doubted_at.is_some_and(|doubted_at| lent_at <= doubted_at)
            || lent_at.elapsed() > LONGEST_REST
    }
}

impl<DB: Database> Manager for Connector<DB> {
    type Type = DB::Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<DB::Connection, sqlx::Error> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.options.connect().await {
                Err(error) if is_starting(&error) && begun.elapsed() + pause < self.patience => {
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                connected => return connected,
            }
        }
    }

    async fn recycle(
        &self,
        connection: &mut DB::Connection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if self
            .longest_life
            .is_some_and(|longest| metrics.age() > longest)
        {
            return Err(managed::RecycleError::message("it is old"));
        }
        if self.doubts(metrics.recycled.unwrap_or(metrics.created)) {
            connection.ping().await?;
        }
        Ok(())
    }
}

/// Whether a server that does not take this connection may take it in a moment.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

impl<'p, DB: Database> Executor<'p> for &'p Pool<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<DB::QueryResult, DB::Row>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let answer = async move {
            let mut connection = self.lend().await?;
            // All of it, so that the connection is free before anybody looks at the first row.
            let answer = connection.fetch_many(query).try_collect::<Vec<_>>().await;
            let answer = connection.settle_with(answer)?;
            Ok::<_, sqlx::Error>(stream::iter(answer.into_iter().map(Ok)))
        };
        stream::once(answer).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(async move {
            let mut connection = self.lend().await?;
            let answer = connection.fetch_optional(query).await;
            connection.settle_with(answer)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut connection = self.lend().await?;
            let answer = connection.prepare_with(sql, parameters).await;
            connection.settle_with(answer)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut connection = self.lend().await?;
            let answer = connection.describe(sql).await;
            connection.settle_with(answer)
        })
    }
}

#[cfg(test)]
mod tests;
