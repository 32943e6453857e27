//! `coatcheck` without a command: everything in one process.

use std::io::Write;

use coatcheck_api::Server;
use coatcheck_shared::backend::Backend;
use tokio_util::sync::CancellationToken;

use super::Process;
use crate::{failure::Failure, greeting::greeting};

/// Serves until it is told to end: then the API drains while the worker still runs, so that
/// whoever waits on a job is answered, and after it the worker.
pub(crate) async fn run(process: Process) -> Result<(), Failure> {
    let settings = &process.settings;
    let backend = Backend::open(settings)
        .await
        .map_err(|error| super::no_backend(settings, &error))?;
    let worker = super::new_worker(backend.clone(), settings)?;
    let server = Server::bind(backend, settings, process.metrics)
        .map_err(|error| Failure::caused_by("the API cannot start", &error))?;
    let address = server.address();
    let worker_shutdown = CancellationToken::new();
    let mut worker = tokio::spawn(worker.run(worker_shutdown.clone()));
    let api = server.run(process.shutdown.clone());
    tokio::pin!(api);
    greet(&greeting(address, settings));
    let (api_outcome, worker_outcome) = tokio::select! {
        api_outcome = &mut api => {
            worker_shutdown.cancel();
            (api_outcome, worker.await)
        }
        // It was not told to: without it nothing that is accepted would ever be done.
        worker_outcome = &mut worker => {
            process.shutdown.cancel();
            (api.await, worker_outcome)
        }
    };
    super::api::ended(api_outcome)?;
    super::worker::ended(worker_outcome, &worker_shutdown)
}

/// Nobody reading it is no reason to end.
fn greet(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
