//! The bus of the distributed mode: Redis's published messages, one channel a type of signal.

mod channels;
mod listener;

use async_trait::async_trait;
use redis::{aio::MultiplexedConnection, cmd};
use tokio::{sync::broadcast, task::JoinHandle};

use self::{channels::Channels, listener::Listener};
use super::{SIGNALS_HELD, Signal, Signals};
use crate::{
    queue::{
        QueueError,
        redis::{endpoint::Endpoint, link::Link},
    },
    settings::RedisSettings,
};

/// A bus over Redis.
///
/// One task hears everything for this process, and subscribes again by itself after the
/// connection was lost; what was published in between is lost. It ends with the bus.
#[derive(Debug)]
pub struct RedisSignals {
    link: Link,
    channels: Channels,
    sender: broadcast::Sender<Signal>,
    listening: JoinHandle<()>,
}

impl RedisSignals {
    /// A bus over the Redis at this address, already listening where it answers: one that is away
    /// is waited for.
    ///
    /// # Errors
    /// [`QueueError::Unusable`], which says what is wrong and never shows the password.
    pub async fn connect(settings: &RedisSettings, url: &str) -> Result<Self, QueueError> {
        let channels = Channels::under(&settings.prefix);
        let (sender, _) = broadcast::channel(SIGNALS_HELD);
        let listener = Listener {
            endpoint: Endpoint::open(settings, url)?,
            channels: channels.clone(),
            sender: sender.clone(),
        };
        let subscription = listener.subscribe().await;
        if let Err(error @ QueueError::Unusable(_)) = subscription {
            return Err(error);
        }
        Ok(Self {
            link: Link::new(Endpoint::open(settings, url)?),
            channels,
            sender,
            listening: tokio::spawn(listener.run(subscription)),
        })
    }
}

impl Drop for RedisSignals {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl Signals for RedisSignals {
    async fn publish(&self, signal: Signal) -> Result<(), QueueError> {
        let (channel, message) = self.channels.encode(&signal);
        let mut command = cmd("PUBLISH");
        command.arg(channel).arg(message);
        let send = |mut connection: MultiplexedConnection| {
            let command = &command;
            async move { command.query_async::<()>(&mut connection).await }
        };
        self.link.call("publish", send).await
    }

    fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests;
