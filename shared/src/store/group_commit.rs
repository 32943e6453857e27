//! Natural group commit: whatever gathers while one flush is under way goes into the next. Reads go
//! by the same rule, and share a statement where writes share a commit.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::timeout,
};

use super::StoreError;
use crate::panics;

/// How often a group lets others run before it is closed: they may have something to add. Without
/// it the first of many whom one commit has woken would go alone, and the rest wait for its flush.
/// With nobody else to run this takes no time.
const TURNS_FOR_OTHERS: usize = 2;

/// How groups are formed.
#[derive(Clone, Copy, Debug)]
pub struct GroupCommitSettings {
    /// The name of the group in metrics.
    pub name: &'static str,
    /// How many flushes may be under way at once.
    pub committers: usize,
    /// How many items a flush takes at most.
    pub largest_group: usize,
    /// How many items may wait for a flush before a caller is refused.
    pub waiting: usize,
    /// How long a caller waits for its item's flush in all.
    pub deadline: Duration,
}

type Entry<Item, Reply> = (Item, oneshot::Sender<Result<Reply, StoreError>>);

/// Shares one write among all that ask for it at the same time.
///
/// There is no timer: a lone item is flushed at once and waits for nobody; under load groups
/// grow to what gathers during one flush.
pub struct GroupCommit<Item, Reply> {
    sender: mpsc::Sender<Entry<Item, Reply>>,
    deadline: Duration,
}

impl<Item, Reply> Clone for GroupCommit<Item, Reply> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            deadline: self.deadline,
        }
    }
}

impl<Item: Send + 'static, Reply: Send + 'static> GroupCommit<Item, Reply> {
    /// Starts the committers. `flush` writes a group and gives one reply an item, in order. They
    /// end when the last handle is dropped and everything has been flushed.
    pub fn start<Flush, Flushed>(settings: GroupCommitSettings, flush: Flush) -> Self
    where
        Flush: Fn(Vec<Item>) -> Flushed + Send + Sync + 'static,
        Flushed: Future<Output = Result<Vec<Reply>, StoreError>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(settings.waiting);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        let flush = Arc::new(flush);
        for _ in 0..settings.committers {
            let (receiver, flush) = (receiver.clone(), flush.clone());
            tokio::spawn(async move {
                while let Some(group) = next_group(&receiver, settings.largest_group).await {
                    metrics::histogram!("coatcheck_group_size", "group" => settings.name)
                        .record(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
                    flush_group(&*flush, group).await;
                }
            });
        }
        Self {
            sender,
            deadline: settings.deadline,
        }
    }

    /// Writes an item with whatever else is waiting; returns once it is committed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where too much waits already or the deadline passes. In the
    /// latter case the item may still be written.
    pub async fn submit(&self, item: Item) -> Result<Reply, StoreError> {
        let (reply, replied) = oneshot::channel();
        self.sender
            .try_send((item, reply))
            .map_err(|_| StoreError::Unavailable("too many questions are waiting".into()))?;
        match timeout(self.deadline, replied).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Unavailable("the question was abandoned".into())),
            Err(_) => Err(StoreError::timed_out()),
        }
    }
}

/// Everything that waits, up to `largest`; none when all handles are gone.
async fn next_group<Entry>(
    receiver: &tokio::sync::Mutex<mpsc::Receiver<Entry>>,
    largest: usize,
) -> Option<Vec<Entry>> {
    let mut receiver = receiver.lock().await;
    let mut group = vec![receiver.recv().await?];
    for _ in 0..TURNS_FOR_OTHERS {
        yield_now().await;
    }
    while group.len() < largest
        && let Ok(entry) = receiver.try_recv()
    {
        group.push(entry);
    }
    Some(group)
}

async fn flush_group<Item, Reply, Flushed>(
    flush: &(impl Fn(Vec<Item>) -> Flushed + Sync),
    group: Vec<Entry<Item, Reply>>,
) where
    Flushed: Future<Output = Result<Vec<Reply>, StoreError>>,
{
    let (items, callers): (Vec<Item>, Vec<_>) = group.into_iter().unzip();
    // The committer goes on, whatever becomes of this group.
    match panics::caught(async { flush(items).await }).await {
        Ok(replies) => {
            for (caller, reply) in callers.into_iter().zip(replies) {
                // A caller that has gone away needs no reply.
                let _ = caller.send(Ok(reply));
            }
        }
        Err(error) => {
            for caller in callers {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const SETTINGS: GroupCommitSettings = GroupCommitSettings {
        name: "test",
        committers: 1,
        largest_group: 100,
        waiting: 1_000,
        deadline: Duration::from_secs(5),
    };

    #[tokio::test(start_paused = true)]
    async fn a_lone_item_goes_at_once_and_what_gathers_meanwhile_goes_together() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let seen = sizes.clone();
        let group = GroupCommit::start(SETTINGS, move |items: Vec<u32>| {
            seen.lock().unwrap().push(items.len());
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(items)
            }
        });
        let first = tokio::spawn({
            let group = group.clone();
            async move { group.submit(0).await.unwrap() }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let replies = futures::future::join_all((1..=150).map(|item| group.submit(item))).await;
        assert_eq!(first.await.unwrap(), 0);
        let replies: Vec<u32> = replies.into_iter().map(Result::unwrap).collect();
        assert_eq!(replies, (1..=150).collect::<Vec<_>>());
        assert_eq!(*sizes.lock().unwrap(), [1, 100, 50]);
    }

    #[tokio::test]
    async fn a_group_that_panics_fails_alone() {
        let group = GroupCommit::start(SETTINGS, |items: Vec<u32>| async move {
            assert_ne!(items, [1]);
            Ok(items)
        });
        assert!(matches!(group.submit(1).await, Err(StoreError::Panicked)));
        assert_eq!(group.submit(2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn who_is_about_to_write_goes_with_the_first() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let seen = sizes.clone();
        let group = GroupCommit::start(SETTINGS, move |items: Vec<u32>| {
            seen.lock().unwrap().push(items.len());
            async move { Ok(items) }
        });
        let second = async {
            yield_now().await;
            group.submit(1).await
        };
        let (first, second) = tokio::join!(group.submit(0), second);
        assert_eq!((first.unwrap(), second.unwrap()), (0, 1));
        assert_eq!(*sizes.lock().unwrap(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_or_slow_group_refuses_in_time() {
        let settings = GroupCommitSettings {
            waiting: 1,
            ..SETTINGS
        };
        let group = GroupCommit::start(settings, |items: Vec<u32>| async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(items)
        });
        let callers = (0..3).map(|item| group.submit(item));
        for reply in futures::future::join_all(callers).await {
            assert!(reply.unwrap_err().is_unavailable());
        }
    }
}
