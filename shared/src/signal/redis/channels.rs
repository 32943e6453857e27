//! What signals look like in Redis.

use uuid::Uuid;

use crate::{job::JobId, signal::Signal};

/// The bytes of one id in a message.
const ID_BYTES: usize = 16;

/// The names of the channels.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    finished: String,
    cancel_requested: String,
    queue_created: String,
}

impl Channels {
    pub(super) fn under(prefix: &str) -> Self {
        Self {
            finished: format!("{prefix}:signal:finished"),
            cancel_requested: format!("{prefix}:signal:cancel-requested"),
            queue_created: format!("{prefix}:signal:queue-created"),
        }
    }

    pub(super) fn all(&self) -> [String; 3] {
        [
            self.finished.clone(),
            self.cancel_requested.clone(),
            self.queue_created.clone(),
        ]
    }

    /// The channel and the message of a signal.
    pub(super) fn encode(&self, signal: &Signal) -> (&str, Vec<u8>) {
        match signal {
            Signal::Finished(ids) => (&self.finished, joined(ids)),
            Signal::CancelRequested(ids) => (&self.cancel_requested, joined(ids)),
            Signal::QueueCreated(queue) => (&self.queue_created, queue.as_str().into()),
        }
    }

    /// The signal of a message; none where it is malformed.
    pub(super) fn decode(&self, channel: &str, message: &[u8]) -> Option<Signal> {
        if channel == self.finished {
            parted(message).map(Signal::Finished)
        } else if channel == self.cancel_requested {
            parted(message).map(Signal::CancelRequested)
        } else if channel == self.queue_created {
            let name = str::from_utf8(message).ok()?;
            name.parse().ok().map(Signal::QueueCreated)
        } else {
            None
        }
    }
}

fn joined(ids: &[JobId]) -> Vec<u8> {
    let mut message = Vec::with_capacity(ids.len() * ID_BYTES);
    for id in ids {
        message.extend_from_slice(id.as_uuid().as_bytes());
    }
    message
}

fn parted(message: &[u8]) -> Option<Vec<JobId>> {
    let (ids, rest) = message.as_chunks::<ID_BYTES>();
    let ids = ids.iter().map(|id| JobId::from_uuid(Uuid::from_bytes(*id)));
    rest.is_empty().then(|| ids.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_messages_are_no_signals() {
        let channels = Channels::under("x");
        for (channel, message) in [
            ("x:signal:finished", [0; 17].as_slice()),
            ("x:signal:cancel-requested", [0; 15].as_slice()),
            ("x:signal:queue-created", b"No Name".as_slice()),
            ("x:signal:queue-created", [0xff].as_slice()),
            ("x:signal:unknown", b"".as_slice()),
        ] {
            assert_eq!(channels.decode(channel, message), None, "{channel}");
        }
    }
}
