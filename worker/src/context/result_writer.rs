//! Results that are written down while they come to be, so that no worker holds one whole.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use coatcheck_shared::{
    job::{Body, ClaimedJob},
    store::{CHUNK_SIZE, ResultChunk, Store, StoreError},
};
use tokio::time::sleep;

use super::JobContext;
use crate::{HandlerError, pause::Pause};

/// Where the pieces of a result go, and how much of it there may be.
pub(crate) struct ResultTarget {
    pub(crate) place: ResultPlace,
    pub(crate) most_bytes: usize,
}

/// Where the pieces of a result go.
pub(crate) enum ResultPlace {
    /// To the store.
    Store(Arc<dyn Store>),
    /// They stay here: it is a rehearsal.
    Rehearsal(Mutex<Vec<Bytes>>),
}

/// Takes the result of a job piece by piece: see [`JobContext::result_writer`].
///
/// What fits into one piece of 256 KiB stays in memory and goes with the end of the attempt; of a
/// larger result no more than a piece is held. Nobody sees it before the attempt has succeeded,
/// and what an attempt that fails has written is gone with the job, or with the next attempt that
/// writes.
pub struct ResultWriter<'a> {
    context: &'a JobContext,
    held: BytesMut,
    chunks: u32,
    size: usize,
}

impl<'a> ResultWriter<'a> {
    pub(super) fn new(context: &'a JobContext) -> Self {
        Self {
            context,
            held: BytesMut::new(),
            chunks: 0,
            size: 0,
        }
    }

    /// Adds bytes at the end. It waits while the database is away, for as long as the job may run.
    ///
    /// # Errors
    /// Where the result grows larger than `worker.result_bytes` allows, or the job is no longer
    /// this worker's. To be passed on with `?`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), HandlerError> {
        let most_bytes = self.context.results.most_bytes;
        self.size = self.size.saturating_add(bytes.len());
        if self.size > most_bytes {
            return Err(HandlerError::fail(format!(
                "the result has over {most_bytes} bytes, the most that are kept \
                 (worker.result_bytes)"
            )));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // Only once more follows: a result of one piece needs no writing of its own.
            if self.held.len() == CHUNK_SIZE {
                self.send().await?;
            }
            let room = CHUNK_SIZE - self.held.len();
            let (fitting, later) = rest.split_at(rest.len().min(room));
            self.held.extend_from_slice(fitting);
            rest = later;
        }
        Ok(())
    }

    /// The body for the [`JobResult`](crate::JobResult) that the handler returns.
    ///
    /// # Errors
    /// As [`ResultWriter::write`].
    pub async fn finish(mut self) -> Result<Body, HandlerError> {
        if self.chunks == 0 {
            return Ok(Body::Inline(self.held.freeze()));
        }
        self.send().await?;
        Ok(Body::Stored {
            size: self.size as u64,
        })
    }

    async fn send(&mut self) -> Result<(), HandlerError> {
        let target = &self.context.results.place;
        let bytes = self.held.split().freeze();
        target.write(&self.context.job, self.chunks, bytes).await?;
        self.chunks += 1;
        Ok(())
    }
}

impl ResultPlace {
    async fn write(
        &self,
        job: &ClaimedJob,
        sequence: u32,
        bytes: Bytes,
    ) -> Result<(), HandlerError> {
        let store = match self {
            Self::Store(store) => store,
            Self::Rehearsal(pieces) => {
                let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
                pieces.truncate(usize::try_from(sequence).unwrap_or(usize::MAX));
                pieces.push(bytes);
                return Ok(());
            }
        };
        let chunk = ResultChunk {
            id: job.id,
            attempt: job.attempt,
            lease: job.lease,
            sequence,
            bytes,
        };
        match write_with_patience(&**store, &chunk).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(HandlerError::retry("the job is another worker's by now")),
            Err(error) => {
                tracing::error!(%error, "a piece of the result is refused");
                Err(HandlerError::retry("the result could not be stored"))
            }
        }
    }

    /// What a rehearsed job has written.
    pub(super) fn rehearsed(&self) -> Bytes {
        match self {
            Self::Store(_) => Bytes::new(),
            Self::Rehearsal(pieces) => {
                let pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
                pieces.concat().into()
            }
        }
    }
}

/// The attempt's own end bounds it: the handler is dropped with its lease, its time or its job.
async fn write_with_patience(store: &dyn Store, chunk: &ResultChunk) -> Result<bool, StoreError> {
    let mut pause = Pause::between(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        match store.write_result_chunk(chunk).await {
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "a piece of the result is not stored yet");
                sleep(pause.next()).await;
            }
            answer => return answer,
        }
    }
}
