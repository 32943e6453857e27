//! Private servers, in a temporary folder and on free ports.

pub mod postgres;
pub mod redis;

use std::path::PathBuf;

pub use self::{postgres::Postgres, redis::Redis};

/// Where `cargo xtask test` says which Postgres there is: the URL of a user who may create
/// databases.
pub const DATABASE_VARIABLE: &str = "TEST_DATABASE_URL";

/// Where `cargo xtask test` says which Redis there is.
pub const REDIS_VARIABLE: &str = "TEST_REDIS_URL";

/// Where the data lie. Not the usual temporary folder: that may be in memory, and a COMMIT there
/// costs nothing.
pub fn folder_on_disk() -> PathBuf {
    let persistent = PathBuf::from("/var/tmp");
    if persistent.is_dir() {
        persistent
    } else {
        std::env::temp_dir()
    }
}

/// How often a server is started anew where another took its port.
const TRIES: usize = 3;

/// Tries something that can lose a race for a port.
fn with_retries<T>(mut start: impl FnMut() -> crate::Result<T>) -> crate::Result<T> {
    let mut tries = 1;
    loop {
        match start() {
            Err(_) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}
