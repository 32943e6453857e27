//! Inserts, claims and finishes: whichever of them wait at the same time share one commit.
//!
//! SQLite has one writer at a time, and a commit is a wait for the disk: three writes that wait
//! for each other's would wait three times as long. None of them is answered before the commit.

use std::sync::Arc;

use sqlx::{Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{begin, claims, claims::Claim, finishes, inserts};
use crate::{
    job::NewJob,
    panics,
    store::{
        Finish, FinishOutcome, FirstClaim, FirstClaimed, StoreError, pool::Pool, rows::ClaimedRow,
    },
};

/// How many writes may wait: there are as many as groups that are written at once.
const MOST_WAITING: usize = 1_024;

/// How many writes share a commit at most.
const MOST_TOGETHER: usize = 16;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The writes of the way of a job.
pub(super) struct HotWrites(mpsc::Sender<Write>);

/// Jobs that are to be stored, and what of them is claimed at once.
#[derive(Clone)]
pub(super) struct Insert {
    pub(super) jobs: Arc<Vec<NewJob>>,
    pub(super) claim: Option<Arc<FirstClaim>>,
}

/// A write, and who waits for it.
enum Write {
    Insert(Insert, Reply<FirstClaimed>),
    Claim(Claim, Reply<Vec<ClaimedRow>>),
    Finish(Arc<Vec<Finish>>, Reply<Vec<FinishOutcome>>),
}

/// What came of a write that is not committed yet.
enum Written {
    Inserted(FirstClaimed),
    Claimed(Vec<ClaimedRow>),
    Finished(Vec<FinishOutcome>),
}

impl HotWrites {
    /// Starts writing, until this is dropped. There must be a runtime.
    pub(super) fn start(writer: Pool<Sqlite>) -> Self {
        let (sender, mut receiver) = mpsc::channel(MOST_WAITING);
        tokio::spawn(async move {
            let mut writes = Vec::with_capacity(MOST_TOGETHER);
            while receiver.recv_many(&mut writes, MOST_TOGETHER).await > 0 {
                // Whoever has gone away has been told that it failed, and asks again.
                writes.retain(Write::is_awaited);
                if !writes.is_empty() {
                    write(&writer, std::mem::take(&mut writes)).await;
                }
            }
        });
        Self(sender)
    }

    pub(super) async fn insert(&self, insert: Insert) -> Result<FirstClaimed, StoreError> {
        self.ask(|reply| Write::Insert(insert, reply)).await
    }

    pub(super) async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedRow>, StoreError> {
        self.ask(|reply| Write::Claim(claim, reply)).await
    }

    pub(super) async fn finish(
        &self,
        finishes: Arc<Vec<Finish>>,
    ) -> Result<Vec<FinishOutcome>, StoreError> {
        self.ask(|reply| Write::Finish(finishes, reply)).await
    }

    async fn ask<T>(&self, write: impl FnOnce(Reply<T>) -> Write) -> Result<T, StoreError> {
        let (reply, replied) = oneshot::channel();
        let abandoned = || StoreError::Unavailable("the write was abandoned".into());
        self.0.send(write(reply)).await.map_err(|_| abandoned())?;
        replied.await.map_err(|_| abandoned())?
    }
}

/// Makes all of these writes in one commit. Where one of them is refused for what it is, each is
/// made alone: it takes no other with it.
async fn write(writer: &Pool<Sqlite>, writes: Vec<Write>) {
    let outcome = commit_or_fail(writer, &writes).await;
    match &outcome {
        Err(error) if writes.len() > 1 && !error.is_unavailable() => {
            for write in writes {
                let alone = vec![write];
                let outcome = commit_or_fail(writer, &alone).await;
                tell(alone, outcome);
            }
        }
        _ => tell(writes, outcome),
    }
}

/// Tells whoever waits what came of it.
fn tell(writes: Vec<Write>, outcome: Result<Vec<Written>, StoreError>) {
    match outcome {
        Ok(written) => {
            for (write, written) in writes.into_iter().zip(written) {
                write.succeeded(written);
            }
        }
        Err(error) => {
            for write in writes {
                write.failed(error.clone());
            }
        }
    }
}

/// Without this a panic would end the task, and every later write would wait for nobody.
async fn commit_or_fail(
    writer: &Pool<Sqlite>,
    writes: &[Write],
) -> Result<Vec<Written>, StoreError> {
    panics::caught(commit(writer, writes)).await
}

async fn commit(writer: &Pool<Sqlite>, writes: &[Write]) -> Result<Vec<Written>, StoreError> {
    let mut transaction = begin(writer).await?;
    let mut written = Vec::with_capacity(writes.len());
    for write in writes {
        written.push(write.make(&mut transaction).await?);
    }
    transaction.commit().await?;
    Ok(written)
}

impl Write {
    async fn make(&self, connection: &mut SqliteConnection) -> Result<Written, StoreError> {
        Ok(match self {
            Self::Insert(Insert { jobs, claim }, _) => {
                Written::Inserted(inserts::insert(connection, jobs, claim.as_deref()).await?)
            }
            Self::Claim(claim, _) => Written::Claimed(claims::claim(connection, claim).await?),
            Self::Finish(finishes, _) => {
                Written::Finished(finishes::finish(connection, finishes).await?)
            }
        })
    }

    fn is_awaited(&self) -> bool {
        let is_abandoned = match self {
            Self::Insert(_, reply) => reply.is_closed(),
            Self::Claim(_, reply) => reply.is_closed(),
            Self::Finish(_, reply) => reply.is_closed(),
        };
        !is_abandoned
    }

    /// Tells whoever waits, unless they have gone away.
    fn succeeded(self, written: Written) {
        match (self, written) {
            (Self::Insert(_, reply), Written::Inserted(done)) => drop(reply.send(Ok(done))),
            (Self::Claim(_, reply), Written::Claimed(done)) => drop(reply.send(Ok(done))),
            (Self::Finish(_, reply), Written::Finished(done)) => drop(reply.send(Ok(done))),
            (write, _) => write.failed(StoreError::corrupt("reply", "it is another write's")),
        }
    }

    fn failed(self, error: StoreError) {
        match self {
            Self::Insert(_, reply) => drop(reply.send(Err(error))),
            Self::Claim(_, reply) => drop(reply.send(Err(error))),
            Self::Finish(_, reply) => drop(reply.send(Err(error))),
        }
    }
}
