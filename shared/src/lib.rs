//! What the API and the workers must agree on: the job, where it is kept, how its readiness is
//! announced, and the settings that choose between the two modes.
//!
//! An item belongs here only if the API *and* the worker use it.

pub mod api_key;
pub mod backend;
pub mod claim_times;
pub mod clock;
#[cfg(feature = "failure-points")]
pub mod failure_points;
pub mod hand_off;
pub mod job;
pub mod kind;
pub mod metric_catalogue;
pub mod panics;
pub mod queue;
pub mod settings;
pub mod signal;
pub mod store;
#[cfg(test)]
pub(crate) mod test_proxy;
pub mod timestamp;
pub mod trace;
