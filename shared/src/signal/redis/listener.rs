//! The one subscription of a process.

use std::time::Duration;

use futures::StreamExt;
use redis::{
    Msg, Value,
    aio::{PubSub, PubSubSink},
};
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, interval, sleep},
};

use super::channels::Channels;
use crate::{
    queue::{
        QueueError,
        redis::{endpoint::Endpoint, link::count_error},
    },
    signal::Signal,
};

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Hands what is published in Redis to this process's receivers.
pub(super) struct Listener {
    pub(super) endpoint: Endpoint,
    pub(super) channels: Channels,
    pub(super) sender: broadcast::Sender<Signal>,
}

impl Listener {
    pub(super) async fn subscribe(&self) -> Result<PubSub, QueueError> {
        let subscribing = self.endpoint.subscribe(&self.channels.all()).await;
        subscribing.inspect_err(|_| count_error("subscribe"))
    }

    pub(super) async fn run(self, first: Result<PubSub, QueueError>) {
        let mut subscription = first;
        loop {
            let error = match subscription {
                Ok(subscription) => self.listen(subscription).await,
                Err(error) => error,
            };
            tracing::warn!(%error, "signals are not heard until Redis is back");
            subscription = Ok(self.subscribe_again().await);
            tracing::info!("signals are heard again");
        }
    }

    /// Listens until the connection is lost, and says how.
    async fn listen(&self, subscription: PubSub) -> QueueError {
        let (mut questions, mut messages) = subscription.split();
        // Nothing may be published for hours: only asking shows that the connection still lives.
        let mut look = interval(self.endpoint.deadline());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.deliver(&message),
                    None => return self.endpoint.unavailable("the connection was closed"),
                },
                _ = look.tick() => {
                    if let Err(error) = self.ask(&mut questions).await {
                        return error;
                    }
                }
            }
        }
    }

    async fn ask(&self, questions: &mut PubSubSink) -> Result<(), QueueError> {
        let answer = self.endpoint.within_deadline(questions.ping::<Value>());
        answer.await.map(drop)
    }

    async fn subscribe_again(&self) -> PubSub {
        let mut pause = SHORTEST_PAUSE;
        loop {
            match self.subscribe().await {
                Ok(subscription) => return subscription,
                Err(error) => tracing::debug!(%error, "no subscription yet"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn deliver(&self, message: &Msg) {
        let (channel, payload) = (message.get_channel_name(), message.get_payload_bytes());
        match self.channels.decode(channel, payload) {
            Some(signal) => {
                // That nobody listens is no error.
                let _ = self.sender.send(signal);
            }
            None => {
                let bytes = payload.len();
                tracing::warn!(channel, bytes, "a malformed signal is ignored");
            }
        }
    }
}
