//! What `coatcheck check` asks a Redis about itself.

use redis::aio::MultiplexedConnection;

use super::{endpoint::Endpoint, link::Link};
use crate::{queue::QueueError, settings::RedisSettings};

/// How a Redis is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisFacts {
    /// Its version, as in `7.0.15`.
    pub version: String,
    /// Whether it only follows another server, and takes no writes.
    pub is_replica: bool,
    /// What it does when its memory is full.
    pub maxmemory_policy: Option<String>,
    /// Whether it writes each change to a file.
    pub appends: bool,
}

/// Asks the server about itself.
///
/// # Errors
/// Where it does not answer, or not to these credentials.
pub async fn facts(settings: &RedisSettings, url: &str) -> Result<RedisFacts, QueueError> {
    let link = Link::new(Endpoint::open(settings, url)?);
    let information: String = link
        .call("info", |mut connection: MultiplexedConnection| async move {
            redis::cmd("INFO").query_async(&mut connection).await
        })
        .await?;
    let field = |name: &str| {
        information.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            (field == name).then(|| value.trim().to_owned())
        })
    };
    Ok(RedisFacts {
        version: field("redis_version").unwrap_or_default(),
        is_replica: field("role").is_some_and(|role| role != "master"),
        maxmemory_policy: field("maxmemory_policy"),
        appends: field("aof_enabled").is_some_and(|enabled| enabled == "1"),
    })
}
