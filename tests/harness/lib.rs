//! What the end-to-end tests and `cargo xtask` start and drive: private Postgres and Redis servers,
//! processes of the product, and a client.
//!
//! Everything that is started here is ended when its value is dropped, also while a test panics,
//! and by the id of the very process that was started.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
pub mod database;
#[cfg(feature = "client")]
pub mod deployment;
#[cfg(feature = "document")]
pub mod document;
pub mod http_get;
pub mod port;
pub mod process;
pub mod product;
pub mod promtool;
pub mod resources;
pub mod servers;

use std::{error::Error, time::Duration};

/// Why a test's surroundings could not be set up. It is for a person alone.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Blocks for a moment between two looks at something.
pub fn pause() {
    #[expect(
        clippy::disallowed_methods,
        reason = "starting and ending processes is done in blocking code"
    )]
    std::thread::sleep(Duration::from_millis(10));
}
