//! The HTTP contract, row by row, against the real server on a real socket over SQLite.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod access;
mod batch;
mod batch_keys;
mod bulk;
mod client;
mod connections;
mod cors;
mod document;
mod expecting;
mod following;
mod framing;
mod idempotency;
mod keys;
mod limits;
mod lists;
mod matrix;
mod moves;
mod polling;
mod problems;
mod queues;
mod raw;
mod results;
mod room;
mod service;
mod shutdown;
mod submitting;
mod unique;
mod validation;
