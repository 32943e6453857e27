//! The one connection that writes, on a thread of its own.
//!
//! SQLite has one writer at a time, and a commit is a wait for the disk: writes that wait for each
//! other's would wait many times as long. So whatever waits at the same time shares one commit, and
//! none of it is answered before that. And SQLite never waits for anything but the disk: a thread
//! that asks it directly makes a whole group of writes in the time that handing each statement to
//! a thread and its answer back would take.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::store::{PoolUse, StoreError};

/// How many writes may wait: there are as many as groups and questions that are under way.
const MOST_WAITING: usize = 1_024;

/// How many writes share a commit at most.
const MOST_TOGETHER: usize = 16;

/// The memory for pages that the writer has at hand, in KiB with a minus.
const CACHE: i64 = -16_000;

/// How many pages of 4 KiB the log takes before they are written to where they belong. A page is
/// written by several commits one after another: a longer log writes it back once for all of them.
const PAGES_A_CHECKPOINT: i64 = 4_000;

/// More than there are texts of statements: each is prepared once.
const STATEMENTS_KEPT: usize = 128;

/// Takes writes to the one thread that makes them.
pub(super) struct Writer {
    writes: mpsc::Sender<Box<dyn PendingWrite>>,
    is_writing: Arc<AtomicBool>,
}

impl Writer {
    /// Opens a file that is there and has its tables, and starts writing, until this is dropped.
    /// Another program may hold the file for as long as `busy`.
    pub(super) fn start(path: PathBuf, busy: Duration) -> Result<Self, StoreError> {
        let (writes, waiting) = mpsc::channel(MOST_WAITING);
        let is_writing = Arc::new(AtomicBool::new(false));
        let mut connection = WriterConnection {
            path,
            busy,
            opened: None,
        };
        connection.open()?;
        let thread = {
            let is_writing = is_writing.clone();
            move || write_all(connection, waiting, &is_writing)
        };
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(thread)
            .map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        Ok(Self { writes, is_writing })
    }

    /// Makes a write, and returns what came of it once it is committed. Where it shares a commit
    /// with one that is refused, all is undone, and it is made again.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        make: impl Fn(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, replied) = oneshot::channel();
        let write = Box::new(Asked {
            make,
            made: None,
            reply,
        });
        let abandoned = || StoreError::Unavailable("the write was abandoned".into());
        self.writes.send(write).await.map_err(|_| abandoned())?;
        replied.await.map_err(|_| abandoned())?
    }

    /// How its connection is used.
    pub(super) fn usage(&self) -> PoolUse {
        let used = u32::from(self.is_writing.load(Ordering::Relaxed));
        PoolUse {
            pool: "writer",
            used,
            idle: 1 - used,
            most: 1,
        }
    }
}

/// Something that is to be written.
trait PendingWrite: Send {
    /// Whether anybody still waits for it. Whoever has gone away has been told that it failed, and
    /// asks again.
    fn is_awaited(&self) -> bool;

    /// Makes it, and keeps what came of it until that is committed.
    fn make(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Tells whoever waits, unless they have gone away.
    fn end(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Asked<Make, T> {
    make: Make,
    made: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<Make, T> PendingWrite for Asked<Make, T>
where
    Make: Fn(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }

    fn make(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.made = Some((self.make)(connection)?);
        Ok(())
    }

    fn end(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { made, reply, .. } = *self;
        let missing = || StoreError::corrupt("write", "it was committed without being made");
        drop(reply.send(committed.and_then(|()| made.ok_or_else(missing))));
    }
}

/// What the thread does.
fn write_all(
    mut connection: WriterConnection,
    mut waiting: mpsc::Receiver<Box<dyn PendingWrite>>,
    is_writing: &AtomicBool,
) {
    let mut writes = Vec::new();
    while waiting.blocking_recv_many(&mut writes, MOST_TOGETHER) > 0 {
        is_writing.store(true, Ordering::Relaxed);
        writes.retain(|write| write.is_awaited());
        connection.write_or_reopen(std::mem::take(&mut writes));
        is_writing.store(false, Ordering::Relaxed);
    }
}

/// A connection that is opened anew where there is reason to doubt it.
struct WriterConnection {
    path: PathBuf,
    busy: Duration,
    /// None where it is to be opened before the next write.
    opened: Option<Connection>,
}

impl WriterConnection {
    /// As [`write`](Self::write). Whatever panics there, the thread goes on, and who waited for
    /// these writes is told that they were abandoned.
    fn write_or_reopen(&mut self, writes: Vec<Box<dyn PendingWrite>>) {
        if catch_unwind(AssertUnwindSafe(|| self.write(writes))).is_err() {
            self.opened = None;
        }
    }

    /// Makes all of these writes in one commit. Where one of them is refused for what it is, each
    /// is made alone: it takes no other with it.
    fn write(&mut self, mut writes: Vec<Box<dyn PendingWrite>>) {
        let committed = self.commit(&mut writes);
        let is_refused = |error: &StoreError| !error.is_unavailable();
        let make_each_alone = writes.len() > 1 && committed.as_ref().is_err_and(is_refused);
        for write in writes {
            let mut alone = [write];
            let committed = if make_each_alone {
                self.commit_awaited(&mut alone)
            } else {
                committed.clone()
            };
            let [write] = alone;
            write.end(committed);
        }
    }

    /// Commits it, unless nobody waits for it any more: those before it may have taken long.
    fn commit_awaited(&mut self, alone: &mut [Box<dyn PendingWrite>; 1]) -> Result<(), StoreError> {
        if alone[0].is_awaited() {
            self.commit(alone)
        } else {
            Err(StoreError::timed_out())
        }
    }

    fn commit(&mut self, writes: &mut [Box<dyn PendingWrite>]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let connection = self.open()?;
        let committed = commit(connection, writes);
        // A fault of the disk may have come from this very handle, and stay with it.
        let is_in_doubt = committed.as_ref().is_err_and(StoreError::is_unavailable);
        if is_in_doubt || !connection.is_autocommit() {
            self.opened = None;
        }
        committed
    }

    /// The connection, opened where it is not.
    fn open(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.opened.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(self.opened.insert(connection))
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        // It is there. Where it has been taken away, an empty one in its place would be no help.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.busy)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: a commit is on disk before it is answered.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", CACHE)?;
        connection.pragma_update(None, "wal_autocheckpoint", PAGES_A_CHECKPOINT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(connection)
    }
}

/// All of them or none. A transaction that is the writer from its beginning: one that turned from
/// reader to writer half way could be refused.
fn commit(
    connection: &mut Connection,
    writes: &mut [Box<dyn PendingWrite>],
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for write in writes {
        // A panic would end the thread, and every later write would wait for nobody.
        let made = catch_unwind(AssertUnwindSafe(|| write.make(&transaction)));
        made.unwrap_or(Err(StoreError::Panicked))?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
