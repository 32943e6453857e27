//! The body of a result: bytes at hand, or the chunks that hold a part of it, read one after the
//! other as the client takes them. A client that goes away takes the reading with it.

use std::{ops::Range, sync::Arc, time::Duration};

use actix_web::body::{BoxBody, SizedStream};
use bytes::Bytes;
use coatcheck_shared::{
    job::{Body, Job, JobId},
    store::{CHUNK_SIZE, Store, StoreError},
};
use futures::stream;
use tokio::time::sleep;

use crate::problem::Problem;

/// How much is read, and handed to the connection, at a time: its buffer grows to a little more.
const PIECE: u64 = 32 * 1024;

/// How often a chunk is asked for in the middle of a body, where the database is away.
const TRIES: u32 = 5;

/// How long between two such tries.
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// The bytes of `range`. The first are read before this returns, so that a database that is away
/// is a proper answer rather than a body that breaks off.
pub(super) async fn part(
    store: &Arc<dyn Store>,
    job: &Job,
    body: &Body,
    range: Range<u64>,
) -> Result<BoxBody, Problem> {
    if let Some(bytes) = body.inline() {
        let place = |position| usize::try_from(position).map_err(|error| Problem::internal(&error));
        return Ok(BoxBody::new(
            bytes.slice(place(range.start)?..place(range.end)?),
        ));
    }
    let length = range.end - range.start;
    let mut reading = Reading {
        store: store.clone(),
        id: job.id,
        attempt: job.lifecycle.attempt,
        unread: range,
        held: Bytes::new(),
    };
    if length > 0 {
        reading.held = reading.read().await?;
    }
    let pieces = stream::try_unfold(reading, Reading::next_piece);
    Ok(BoxBody::new(SizedStream::new(length, pieces)))
}

/// The body of an answer to HEAD: its length alone.
pub(super) fn none(length: u64) -> BoxBody {
    let nothing = stream::empty::<Result<Bytes, StoreError>>();
    BoxBody::new(SizedStream::new(length, nothing))
}

/// A body half read.
struct Reading {
    store: Arc<dyn Store>,
    id: JobId,
    attempt: u32,
    unread: Range<u64>,
    /// What has been read and not yet handed on.
    held: Bytes,
}

impl Reading {
    async fn next_piece(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let mut piece = std::mem::take(&mut self.held);
        if piece.is_empty() {
            if self.unread.is_empty() {
                return Ok(None);
            }
            piece = self.read_with_patience().await?;
        }
        Ok(Some((piece, self)))
    }

    async fn read_with_patience(&mut self) -> Result<Bytes, StoreError> {
        for _ in 1..TRIES {
            match self.read().await {
                Err(error) if error.is_unavailable() => sleep(TRY_PAUSE).await,
                answer => return answer,
            }
        }
        self.read().await
    }

    /// The next piece, of one chunk.
    async fn read(&mut self) -> Result<Bytes, StoreError> {
        const SIZE: u64 = CHUNK_SIZE as u64;
        let sequence = self.unread.start / SIZE;
        let begins_at = sequence * SIZE;
        let end = (self.unread.start + PIECE)
            .min(begins_at + SIZE)
            .min(self.unread.end);
        let wanted = place(self.unread.start - begins_at)..place(end - begins_at);
        let sequence =
            u32::try_from(sequence).map_err(|error| StoreError::corrupt("result", error))?;
        let length = wanted.len();
        let piece = self
            .store
            .body_chunk(self.id, self.attempt, sequence, wanted)
            .await?
            .filter(|piece| piece.len() == length)
            .ok_or_else(|| StoreError::corrupt("result", "a chunk is not there as a whole"))?;
        self.unread.start = end;
        Ok(piece)
    }
}

/// A place within a chunk.
fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(CHUNK_SIZE)
}
