//! Suspects: jobs that wait again after a worker has died under them, and may be why it died.
//!
//! An ordinary claim leaves them alone, in its own statement; a worker takes them apart from what
//! else it runs. Which of them are on their last chance is read off the row: another crash would
//! end the job.

use sqlx::FromRow;
use uuid::Uuid;

use crate::job::{JobId, lifecycle::CRASH_LIMIT};

/// Whether a worker has died under a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// None has.
    Clear,
    /// One has, or several.
    Suspect,
}

/// A suspect that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The job.
    pub id: JobId,
    /// Whether it would fail with one crash more.
    pub last_chance: bool,
}

/// The columns of a [`SuspectRow`].
macro_rules! suspect_columns {
    () => {
        "id, attempt, max_attempts, crashes"
    };
}
pub(super) use suspect_columns;

#[derive(FromRow)]
pub(super) struct SuspectRow {
    id: Uuid,
    attempt: i32,
    max_attempts: i32,
    crashes: i32,
}

impl From<SuspectRow> for Suspect {
    fn from(row: SuspectRow) -> Self {
        let crashes = u32::try_from(row.crashes).unwrap_or(0);
        Self {
            id: JobId::from_uuid(row.id),
            last_chance: crashes + 1 >= CRASH_LIMIT || row.attempt + 1 >= row.max_attempts,
        }
    }
}
