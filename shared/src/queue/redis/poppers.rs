//! Connections that wait for hints: one a caller, for a blocking command blocks its connection.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

use super::endpoint::{Endpoint, ends_connection};
use crate::queue::QueueError;

/// How many callers may wait at once, each on a connection of its own.
const MOST: usize = 32;

/// A bounded pool of connections for blocking commands.
#[derive(Debug)]
pub(super) struct Poppers {
    idle: Mutex<Vec<MultiplexedConnection>>,
    places: Semaphore,
}

impl Poppers {
    pub(super) fn new() -> Self {
        Self {
            idle: Mutex::default(),
            places: Semaphore::new(MOST),
        }
    }

    /// A place among those who may wait; none where all stay taken until then.
    pub(super) async fn place(&self, until: Instant) -> Option<SemaphorePermit<'_>> {
        timeout_at(until, self.places.acquire()).await.ok()?.ok()
    }

    /// Sends the blocking command that `command` makes of the time that is left, and waits for
    /// its answer until then and the endpoint's deadline more. The connection is dropped unless
    /// the answer has come, so Redis forgets a caller who is gone.
    pub(super) async fn block<Answer: FromRedisValue>(
        &self,
        endpoint: &Endpoint,
        _place: &SemaphorePermit<'_>,
        until: Instant,
        command: impl Fn(Duration) -> Cmd,
    ) -> Result<Answer, QueueError> {
        let trying = async {
            loop {
                let (mut connection, fresh) = self.connection(endpoint).await?;
                let left = until.saturating_duration_since(Instant::now());
                let answer = command(left).query_async(&mut connection).await;
                match answer {
                    Ok(answer) => {
                        self.idle().push(connection);
                        return Ok(answer);
                    }
                    // Redis was restarted: every idle connection has broken with this one.
                    Err(error) if !fresh && RedisError::is_connection_dropped(&error) => {
                        self.idle().clear();
                    }
                    Err(error) => {
                        if !ends_connection(&error) {
                            self.idle().push(connection);
                        }
                        return Err(endpoint.error(&error));
                    }
                }
            }
        };
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left + endpoint.deadline(), trying).await {
            Ok(outcome) => outcome,
            Err(_) => Err(endpoint.silence()),
        }
    }

    /// A connection, and whether it is new.
    async fn connection(
        &self,
        endpoint: &Endpoint,
    ) -> Result<(MultiplexedConnection, bool), QueueError> {
        let idle = self.idle().pop();
        match idle {
            Some(connection) => Ok((connection, false)),
            None => Ok((endpoint.connect().await?, true)),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<MultiplexedConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
