//! One connection that all callers share, replaced when it breaks.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::endpoint::{Endpoint, ends_connection};
use crate::queue::QueueError;

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Sends commands over one shared connection, each with the deadline of the endpoint.
///
/// redis-rs's own connection manager keeps a connection whose answers have stopped coming; here
/// one missed deadline replaces it. While Redis cannot be reached, callers between two attempts
/// to connect are refused at once.
#[derive(Debug)]
pub(crate) struct Link {
    endpoint: Endpoint,
    state: Mutex<State>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Live>,
    made: u64,
    pause: Duration,
    refused: Option<Refusal>,
}

#[derive(Clone, Debug)]
struct Live {
    number: u64,
    connection: MultiplexedConnection,
}

#[derive(Debug)]
struct Refusal {
    until: Instant,
    error: QueueError,
}

impl Link {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends something and waits for its answer, measuring both.
    pub(crate) async fn call<Answer, Sent>(
        &self,
        operation: &'static str,
        send: impl Fn(MultiplexedConnection) -> Sent,
    ) -> Result<Answer, QueueError>
    where
        Sent: Future<Output = RedisResult<Answer>>,
    {
        let started = Instant::now();
        let mut used = None;
        let trying = self.try_twice(&send, &mut used);
        let outcome = match timeout(self.endpoint.deadline(), trying).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.gave_up(used)),
        };
        metrics::histogram!("coatcheck_redis_seconds", "operation" => operation)
            .record(started.elapsed());
        if outcome.is_err() {
            count_error(operation);
        }
        outcome
    }

    /// A connection is found broken only by using it: then another one gets its chance. What was
    /// sent may be done twice by that, which hints and signals allow.
    async fn try_twice<Answer, Sent>(
        &self,
        send: &impl Fn(MultiplexedConnection) -> Sent,
        used: &mut Option<u64>,
    ) -> Result<Answer, QueueError>
    where
        Sent: Future<Output = RedisResult<Answer>>,
    {
        let mut first = true;
        loop {
            *used = None;
            let live = self.live().await?;
            *used = Some(live.number);
            match send(live.connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    if ends_connection(&error) {
                        self.discard(live.number);
                    }
                    if !first || !error.is_connection_dropped() {
                        return Err(self.endpoint.error(&error));
                    }
                    first = false;
                }
            }
        }
    }

    async fn live(&self) -> Result<Live, QueueError> {
        if let Some(live) = self.state().live.clone() {
            return Ok(live);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(answer) = self.state().settled() {
            return answer;
        }
        match self.endpoint.connect().await {
            Ok(connection) => Ok(self.state().connected(connection)),
            Err(error) => {
                self.state().refuse(error.clone());
                Err(error)
            }
        }
    }

    fn gave_up(&self, used: Option<u64>) -> QueueError {
        let error = self.endpoint.silence();
        match used {
            Some(number) => self.discard(number),
            None => self.state().refuse(error.clone()),
        }
        error
    }

    fn discard(&self, number: u64) {
        let mut state = self.state();
        state.live.take_if(|live| live.number == number);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What another caller has found out in the meantime.
    fn settled(&self) -> Option<Result<Live, QueueError>> {
        if let Some(live) = &self.live {
            return Some(Ok(live.clone()));
        }
        let refusal = self.refused.as_ref()?;
        (Instant::now() < refusal.until).then(|| Err(refusal.error.clone()))
    }

    fn connected(&mut self, connection: MultiplexedConnection) -> Live {
        self.made += 1;
        self.pause = Duration::ZERO;
        self.refused = None;
        let number = self.made;
        self.live.insert(Live { number, connection }).clone()
    }

    /// Whoever waited for the same attempt says the same: one of them counts.
    fn refuse(&mut self, error: QueueError) {
        if self.settled().is_some() {
            return;
        }
        self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let until = Instant::now() + self.pause;
        self.refused = Some(Refusal { until, error });
    }
}

/// Counts an operation that failed.
pub(crate) fn count_error(operation: &'static str) {
    metrics::counter!("coatcheck_redis_errors_total", "operation" => operation).increment(1);
}
