//! Calls to a real server on this machine.

mod refusal;
mod result;
mod target;

use coatcheck_shared::{job::JobResult, settings::load_from};
use serde_json::Value;

use super::HttpHandler;
use crate::{HandlerError, context::Rehearsal};

/// A handler with these settings.
fn handler(settings: &str) -> HttpHandler {
    HttpHandler::new(&load_from(settings).unwrap()).unwrap()
}

async fn call(handler: &HttpHandler, payload: Value) -> Result<JobResult, HandlerError> {
    Rehearsal::of::<HttpHandler>(&payload)
        .unwrap()
        .run(handler)
        .await
}

/// A call by a handler that may call this machine.
async fn call_here(payload: Value) -> Result<JobResult, HandlerError> {
    call(&handler("http.allow_private = true"), payload).await
}
