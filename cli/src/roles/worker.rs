//! `coatcheck worker`: a worker alone.

use coatcheck_shared::backend::Backend;
use coatcheck_worker::WorkerError;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::Process;
use crate::{failure::Failure, worker_health};

/// Runs jobs until it is told to end and has finished or handed back what it held.
pub(crate) async fn run(process: Process) -> Result<(), Failure> {
    let settings = &process.settings;
    let backend = Backend::open_shared(settings, "worker")
        .await
        .map_err(|error| super::no_backend(settings, &error))?;
    let worker = super::new_worker(backend, settings)?;
    let health = worker_health::serve(&settings.worker, worker.status(), process.metrics)?;
    let health_handle = health.handle();
    let health = tokio::spawn(health);
    tracing::info!(health = %settings.worker.listen, "the worker runs");
    let outcome = tokio::spawn(worker.run(process.shutdown.clone())).await;
    health_handle.stop(true).await;
    if let Ok(Err(error)) = health.await {
        tracing::warn!(%error, "the worker's health was no longer served");
    }
    ended(outcome, &process.shutdown)
}

/// What it means that a worker has ended: a failure, unless it was told to.
pub(super) fn ended(
    outcome: Result<Result<(), WorkerError>, JoinError>,
    told: &CancellationToken,
) -> Result<(), Failure> {
    match outcome {
        Ok(Ok(())) if told.is_cancelled() => Ok(()),
        Ok(Ok(())) => Err(Failure::error(
            "the worker has ended though nobody told it to",
        )),
        Ok(Err(error)) => Err(Failure::caused_by("the worker has ended", &error)),
        Err(error) => Err(Failure::caused_by("the worker has ended", &error)),
    }
}
