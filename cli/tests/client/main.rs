//! `coatcheck` as a client, against the program itself and against servers that misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod bed;
mod commands;
mod failing;
mod scripted;
