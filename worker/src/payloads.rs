//! Payloads that are too large for their jobs' rows.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use coatcheck_shared::{
    job::JobId,
    store::{CHUNK_SIZE, Store},
};
use tokio::{sync::Semaphore, time::sleep};

use crate::{HandlerError, pause::Pause};

/// How many are read at once: more would take the connections from lists and keepers.
const AT_ONCE: usize = 4;

/// A payload lies in the store as the result of attempt 0.
const ATTEMPT: u32 = 0;

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
        let _turn = self.turns.acquire().await?;
        let mut chunks = Vec::new();
        let mut read = 0;
        for sequence in 0.. {
            let Some(chunk) = self.chunk(job, sequence).await? else {
                break;
            };
            read += chunk.len() as u64;
            chunks.push(chunk);
            if read >= size {
                break;
            }
        }
        if read != size {
            tracing::error!(size, read, "a payload is not there as a whole");
            let missing = format!("of the payload's {size} bytes {read} are there");
            return Err(HandlerError::fail(missing));
        }
        Ok(match chunks.as_slice() {
            [whole] => whole.clone(),
            chunks => chunks.concat().into(),
        })
    }

    async fn chunk(&self, job: JobId, sequence: u32) -> Result<Option<Bytes>, HandlerError> {
        let mut pause = Pause::between(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let whole = 0..CHUNK_SIZE;
            match self.store.body_chunk(job, ATTEMPT, sequence, whole).await {
                Ok(chunk) => return Ok(chunk),
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(%error, "a payload is not read yet");
                    sleep(pause.next()).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the reading of a payload is refused");
                    return Err(HandlerError::retry("the payload could not be read"));
                }
            }
        }
    }
}
