//! Handlers and what runs them.
//!
//! A worker binary of one's own registers its handlers in a [`Registry`] and gives it to
//! [`Worker`]; the README shows the whole of one.

pub mod context;
pub mod handler;
pub mod handlers;
pub mod registry;

pub use coatcheck_shared::{job::JobResult, kind::KindPayload};
pub use schemars;
pub use tokio_util::sync::CancellationToken;

pub use self::{
    context::JobContext,
    handler::{Handler, HandlerError, IntoJobResult, Json},
    registry::{Registry, RegistryError},
};
