//! `coatcheck api`: the API alone.

use coatcheck_api::{ServeError, Server};
use coatcheck_shared::backend::Backend;

use super::Process;
use crate::failure::Failure;

/// Serves until it is told to end and has answered what was under way.
pub(crate) async fn run(process: Process) -> Result<(), Failure> {
    let settings = &process.settings;
    let backend = Backend::open_shared(settings, "api")
        .await
        .map_err(|error| super::no_backend(settings, &error))?;
    let server = Server::bind(backend, settings, process.metrics)
        .map_err(|error| Failure::caused_by("the API cannot start", &error))?;
    tracing::info!(address = %server.address(), "the API listens");
    ended(server.run(process.shutdown).await)
}

/// What it means that the API has ended.
pub(super) fn ended(outcome: Result<(), ServeError>) -> Result<(), Failure> {
    outcome.map_err(|error| Failure::caused_by("the API has ended", &error))
}
