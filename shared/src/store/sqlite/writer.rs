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
    writes: mpsc::Sender<Box<dyn Write>>,
    is_writing: Arc<AtomicBool>,
}

impl Writer {
    /// Opens a file that is there and has its tables, and starts writing, until this is dropped.
    /// Another program may hold the file for as long as `busy`.
    pub(super) fn start(path: PathBuf, busy: Duration) -> Result<Self, StoreError> {
        let (writes, waiting) = mpsc::channel(MOST_WAITING);
        let is_writing = Arc::new(AtomicBool::new(false));
        let mut place = Place {
            path,
            busy,
            connection: None,
        };
        place.connection()?;
        let thread = {
            let is_writing = is_writing.clone();
            move || write_all(place, waiting, &is_writing)
        };
        thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(thread)
            .map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        Ok(Self { writes, is_writing })
    }

    /// Makes a write, and returns what came of it once it is committed. `make` is called again
    /// where it shared a commit with one that is refused, and its error undoes all that it did.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        make: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
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
trait Write: Send {
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

impl<Make, T> Write for Asked<Make, T>
where
    Make: FnMut(&Connection) -> Result<T, StoreError> + Send,
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
    mut place: Place,
    mut waiting: mpsc::Receiver<Box<dyn Write>>,
    is_writing: &AtomicBool,
) {
    let mut writes = Vec::new();
    while waiting.blocking_recv_many(&mut writes, MOST_TOGETHER) > 0 {
        is_writing.store(true, Ordering::Relaxed);
        writes.retain(|write| write.is_awaited());
        place.write(std::mem::take(&mut writes));
        is_writing.store(false, Ordering::Relaxed);
    }
}

/// Where is written to.
struct Place {
    path: PathBuf,
    busy: Duration,
    /// None where it could not be opened, or was left inside a transaction.
    connection: Option<Connection>,
}

impl Place {
    /// Makes all of these writes in one commit. Where one of them is refused for what it is, each
    /// is made alone: it takes no other with it.
    fn write(&mut self, mut writes: Vec<Box<dyn Write>>) {
        let committed = self.commit(&mut writes);
        let share_the_blame = writes.len() > 1
            && committed
                .as_ref()
                .is_err_and(|error| !error.is_unavailable());
        for write in writes {
            let mut alone = [write];
            let committed = if share_the_blame {
                self.commit(&mut alone)
            } else {
                committed.clone()
            };
            let [write] = alone;
            write.end(committed);
        }
    }

    fn commit(&mut self, writes: &mut [Box<dyn Write>]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let connection = self.connection()?;
        let committed = commit(connection, writes);
        if !connection.is_autocommit() {
            self.connection = None;
        }
        committed
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn open(&self) -> Result<Connection, StoreError> {
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
fn commit(connection: &mut Connection, writes: &mut [Box<dyn Write>]) -> Result<(), StoreError> {
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
