//! How each fault is done.

pub(super) mod handlers;
pub(super) mod network;
pub(super) mod postgres;
pub(super) mod processes;
pub(super) mod redis;
