//! Where Redis is, and how to get a connection to it.

use std::{fmt::Display, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::time::timeout;

use crate::{queue::QueueError, settings::RedisSettings};

/// How many commands may wait to be written to one connection before callers wait themselves.
const COMMANDS_AHEAD: usize = 1_024;

/// The address of Redis and how long it may take to answer.
#[derive(Debug)]
pub(crate) struct Endpoint {
    client: Client,
    deadline: Duration,
}

impl Endpoint {
    /// Reads the address, and connects to nothing yet.
    pub(crate) fn open(settings: &RedisSettings, url: &str) -> Result<Self, QueueError> {
        let client = url
            .into_connection_info()
            .and_then(|information| {
                // Published messages come over connections of their own, in the older protocol.
                let redis = information
                    .redis_settings()
                    .clone()
                    .set_protocol(ProtocolVersion::RESP2);
                let tcp = information.tcp_settings().clone().set_nodelay(true);
                Client::open(information.set_redis_settings(redis).set_tcp_settings(tcp))
            })
            .map_err(|error| {
                QueueError::Unusable(format!("REDIS_URL (redis_url) is wrong: {error}"))
            })?;
        Ok(Self {
            client,
            deadline: settings.deadline(),
        })
    }

    pub(crate) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A new connection for commands. The response to a command is awaited for ever: whoever
    /// uses it limits that.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, QueueError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(COMMANDS_AHEAD);
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        self.within_deadline(connecting).await
    }

    /// A new connection that hears these channels.
    pub(crate) async fn subscribe(&self, channels: &[String]) -> Result<PubSub, QueueError> {
        let subscribing = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(channels).await?;
            Ok(subscription)
        };
        self.within_deadline(subscribing).await
    }

    pub(crate) async fn within_deadline<Answer>(
        &self,
        asking: impl Future<Output = Result<Answer, RedisError>>,
    ) -> Result<Answer, QueueError> {
        match timeout(self.deadline, asking).await {
            Ok(answer) => answer.map_err(|error| self.error(&error)),
            Err(_) => Err(self.silence()),
        }
    }

    /// What an error of Redis or of the way to it means.
    pub(crate) fn error(&self, error: &RedisError) -> QueueError {
        let login_is_wrong = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        if login_is_wrong {
            self.unusable(error)
        } else {
            self.unavailable(error)
        }
    }

    /// The error of a Redis with which waiting helps.
    pub(crate) fn unavailable(&self, detail: impl Display) -> QueueError {
        QueueError::Unavailable(self.about(detail))
    }

    /// The error of a Redis with which waiting does not help.
    pub(crate) fn unusable(&self, detail: impl Display) -> QueueError {
        QueueError::Unusable(self.about(detail))
    }

    /// Says which Redis it is about. The address carries no password.
    fn about(&self, detail: impl Display) -> String {
        format!(
            "Redis at {}: {detail}",
            self.client.get_connection_info().addr()
        )
    }

    /// The error of a Redis that does not answer.
    pub(crate) fn silence(&self) -> QueueError {
        self.unavailable(format_args!("no answer within {:?}", self.deadline))
    }
}

/// Whether a connection that gave this error is of no more use.
pub(super) fn ends_connection(error: &RedisError) -> bool {
    // READONLY: the address led to a primary that has become a replica.
    error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Io
        || error.code() == Some("READONLY")
}
