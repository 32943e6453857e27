//! Payloads that are too large for their jobs' rows.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use coatcheck_shared::{
    job::JobId,
    store::{CHUNK_SIZE, PAYLOAD_ATTEMPT, Store, StoreError},
};
use tokio::{sync::Semaphore, time::sleep};

use crate::{HandlerError, pause::Pause};

/// How many are read at once: more would take most of the store's connections from what is short.
const AT_ONCE: usize = 2;

/// Reads payloads.
pub(crate) struct Payloads {
    store: Arc<dyn Store>,
    turns: Semaphore,
}

impl Payloads {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// The payload of a job, which has so many bytes. Waits for as long as the store is away.
    ///
    /// # Errors
    /// Where it is not there as a whole, for which the job fails, and where the store refuses to read it,
    /// for which the attempt does.
    pub(crate) async fn read(&self, job: JobId, size: u64) -> Result<Bytes, HandlerError> {
        let mut payload = Payload {
            job,
            size,
            bytes: Vec::new(),
            chunks: 0,
        };
        let mut pause = Pause::between(Duration::from_millis(50), Duration::from_secs(1));
        while let Err(error) = self.go_on(&mut payload).await {
            if !error.is_unavailable() {
                tracing::error!(%error, "the reading of a payload is refused");
                return Err(HandlerError::retry("the payload could not be read"));
            }
            tracing::warn!(%error, "a payload is not read yet");
            sleep(pause.next()).await;
        }
        payload.whole()
    }

    /// Reads on to the end. What has to be asked again gives its turn to others first.
    async fn go_on(&self, payload: &mut Payload) -> Result<(), StoreError> {
        let _turn = self.turns.acquire().await;
        while (payload.bytes.len() as u64) < payload.size {
            let (job, sequence, whole) = (payload.job, payload.chunks, 0..CHUNK_SIZE);
            let chunk = self.store.body_chunk(job, PAYLOAD_ATTEMPT, sequence, whole);
            let Some(chunk) = chunk.await? else { break };
            payload.chunks += 1;
            if payload.bytes.is_empty() {
                // Without a copy: most have no other.
                payload.bytes = chunk.into();
            } else {
                payload.bytes.extend_from_slice(&chunk);
            }
        }
        Ok(())
    }
}

/// What is there so far of a payload.
struct Payload {
    job: JobId,
    size: u64,
    bytes: Vec<u8>,
    chunks: u32,
}

impl Payload {
    fn whole(self) -> Result<Bytes, HandlerError> {
        let (size, read) = (self.size, self.bytes.len());
        if read as u64 == size {
            return Ok(self.bytes.into());
        }
        tracing::error!(size, read, "a payload is not there as a whole");
        let missing = format!("of the payload's {size} bytes {read} are there");
        Err(HandlerError::fail(missing))
    }
}
