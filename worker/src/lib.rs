//! Handlers and what runs them.
//!
//! A worker binary of one's own registers its handlers in a [`Registry`] and gives it to
//! [`Worker`]; the README shows the whole of one.

mod announcer;
mod apalis_backend;
mod aside;
mod claimer;
pub mod context;
mod ending;
mod executor;
#[cfg(feature = "failure-points")]
mod failing;
mod finisher;
pub mod handler;
pub mod handlers;
mod keepers;
mod lanes;
mod lease;
mod listener;
mod monitor;
mod pause;
mod payloads;
mod process;
mod pump;
mod queue_labels;
pub mod registry;
mod reporter;
mod run_trace;
mod running;
mod status;
mod ward;
mod worker;

pub use coatcheck_shared::{
    job::{Body, JobResult},
    kind::KindPayload,
    settings, trace,
};
pub use schemars;
pub use tokio_util::sync::CancellationToken;

pub use self::{
    context::{JobContext, ResultWriter},
    handler::{BytesHandler, Handler, HandlerError, IntoJobResult, Json, RawPayload},
    process::{ProcessError, process_name, run_until_signalled},
    registry::{Registry, RegistryError},
    status::{Readiness, WorkerStatus},
    worker::{Worker, WorkerError},
};

#[cfg(test)]
mod tests;
