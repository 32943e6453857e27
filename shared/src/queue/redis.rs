//! The queue of the distributed mode: one Redis list a lane.

pub(crate) mod endpoint;
mod facts;
pub(crate) mod link;
mod poppers;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection, cmd};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use self::facts::{RedisFacts, facts};
use self::{
    endpoint::Endpoint,
    link::{Link, count_error},
    poppers::Poppers,
};
use super::{End, Hint, Lane, Queue, QueueError};
use crate::{job::JobId, settings::RedisSettings};

/// Redis refuses a command of more than about a million arguments, and a long one delays others.
const IDS_A_COMMAND: usize = 10_000;

/// Redis counts a wait in floating-point seconds and takes zero for "for ever".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a pop gives: the key and what was taken from it, nothing where nothing came.
type Popped = Option<(Value, Vec<Vec<u8>>)>;

/// A queue in Redis, 7.0 or newer, of 16-byte ids in lists.
///
/// It connects again by itself. Every call but [`Queue::pop`] goes over one connection that all
/// callers share.
#[derive(Debug)]
pub struct RedisQueue {
    link: Link,
    poppers: Poppers,
    prefix: String,
}

impl RedisQueue {
    /// A queue in the Redis at this address. One that is away is waited for: jobs are accepted and
    /// run without it.
    ///
    /// # Errors
    /// [`QueueError::Unusable`] where it answers and is too old or refuses the login, or the
    /// address is none. The error says what is wrong and never shows the password.
    pub async fn connect(settings: &RedisSettings, url: &str) -> Result<Self, QueueError> {
        let queue = Self {
            link: Link::new(Endpoint::open(settings, url)?),
            poppers: Poppers::new(),
            prefix: settings.prefix.clone(),
        };
        match queue.check().await {
            Err(error @ QueueError::Unavailable(_)) => {
                tracing::warn!(%error, "starting without Redis until it is there");
                Ok(queue)
            }
            checked => checked.map(|()| queue),
        }
    }

    /// Asks for the command, not for a version: Redis's relatives count their versions otherwise.
    async fn check(&self) -> Result<(), QueueError> {
        let probe = format!("{}:{{probe}}", self.prefix);
        let command = pop_command("LMPOP", None, &[probe], 1);
        let outcome = self.query::<Value>("check", &command).await;
        match outcome {
            Err(error) if error.to_string().to_lowercase().contains("unknown command") => {
                let version = self.version().await?;
                Err(self.link.endpoint().unusable(format_args!(
                    "Redis 7.0 or newer is needed, this is {version}"
                )))
            }
            outcome => outcome.map(drop),
        }
    }

    async fn version(&self) -> Result<String, QueueError> {
        let mut info = cmd("INFO");
        info.arg("server");
        let text: String = self.query("check", &info).await?;
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.unwrap_or("of an unknown version").to_owned())
    }

    /// The braces stand in the key itself: Redis Cluster keeps keys together that agree in what
    /// is between them.
    fn key(&self, lane: &Lane) -> String {
        let (queue, priority) = (&lane.queue, lane.priority.as_str());
        format!("{}:{{{queue}}}:{priority}", self.prefix)
    }

    fn keys(&self, lanes: &[Lane]) -> Vec<String> {
        lanes.iter().map(|lane| self.key(lane)).collect()
    }

    async fn query<Answer: redis::FromRedisValue>(
        &self,
        operation: &'static str,
        command: &Cmd,
    ) -> Result<Answer, QueueError> {
        let send = |mut connection: MultiplexedConnection| async move {
            command.query_async(&mut connection).await
        };
        self.link.call(operation, send).await
    }

    /// What is there, without waiting.
    async fn take(&self, keys: &[String], limit: usize) -> Result<Vec<JobId>, QueueError> {
        let command = pop_command("LMPOP", None, keys, limit);
        self.query("take", &command).await.map(ids)
    }

    fn push_commands(&self, hints: &[Hint], end: End) -> Pipeline {
        let mut lanes: BTreeMap<&Lane, Vec<JobId>> = BTreeMap::new();
        for hint in hints {
            lanes.entry(&hint.lane).or_default().push(hint.id);
        }
        let mut commands = Pipeline::new();
        for (lane, mut ids) in lanes {
            let name = match end {
                End::Back => "RPUSH",
                End::Front => {
                    // Each is put before the last, so the first has to come last.
                    ids.reverse();
                    "LPUSH"
                }
            };
            let key = self.key(lane);
            for some in ids.chunks(IDS_A_COMMAND) {
                let command = commands.cmd(name).arg(&key);
                for id in some {
                    command.arg(id.as_uuid().as_bytes().as_slice());
                }
                command.ignore();
            }
        }
        commands
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, hints: &[Hint], end: End) -> Result<(), QueueError> {
        if hints.is_empty() {
            return Ok(());
        }
        let commands = self.push_commands(hints, end);
        let send = |mut connection: MultiplexedConnection| {
            let commands = &commands;
            async move { commands.query_async::<()>(&mut connection).await }
        };
        self.link.call("push", send).await
    }

    async fn pop(
        &self,
        lanes: &[Lane],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<JobId>, QueueError> {
        if lanes.is_empty() || limit == 0 {
            sleep(wait).await;
            return Ok(Vec::new());
        }
        let keys = self.keys(lanes);
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        if wait.is_zero() {
            return self.take(&keys, limit).await;
        }
        let Some(place) = self.poppers.place(until).await else {
            return self.take(&keys, limit).await;
        };
        let command = |left| pop_command("BLMPOP", Some(left), &keys, limit);
        let popped = self
            .poppers
            .block(self.link.endpoint(), &place, until, command)
            .await;
        if popped.is_err() {
            count_error("pop");
        }
        popped.map(ids)
    }

    async fn oldest(&self, lane: &Lane) -> Result<Option<JobId>, QueueError> {
        let mut command = cmd("LINDEX");
        command.arg(self.key(lane)).arg(0);
        let oldest: Option<Vec<u8>> = self.query("oldest", &command).await?;
        Ok(oldest.and_then(|bytes| id(&bytes)))
    }

    async fn depth(&self, lane: &Lane) -> Result<u64, QueueError> {
        let mut command = cmd("LLEN");
        command.arg(self.key(lane));
        self.query("depth", &command).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.query::<Value>("ping", &cmd("PING")).await.map(drop)
    }
}

fn pop_command(name: &str, wait: Option<Duration>, keys: &[String], limit: usize) -> Cmd {
    let mut command = cmd(name);
    if let Some(wait) = wait {
        command.arg(wait.max(SHORTEST_WAIT).as_secs_f64());
    }
    command
        .arg(keys.len())
        .arg(keys)
        .arg("LEFT")
        .arg("COUNT")
        .arg(limit);
    command
}

fn ids(popped: Popped) -> Vec<JobId> {
    let (_, members) = popped.unwrap_or((Value::Nil, Vec::new()));
    members.iter().filter_map(|bytes| id(bytes)).collect()
}

/// The id in a list's member; none where somebody else has put something there.
fn id(bytes: &[u8]) -> Option<JobId> {
    let uuid = Uuid::from_slice(bytes);
    if uuid.is_err() {
        let length = bytes.len();
        tracing::warn!(
            length,
            "a hint in Redis is no id of 16 bytes and is ignored"
        );
    }
    uuid.ok().map(JobId::from_uuid)
}

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
