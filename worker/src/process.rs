//! A whole worker process, for a binary of one's own.

use coatcheck_shared::{
    backend::{Backend, BackendError},
    settings::{self, SettingsError},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Registry, Worker, WorkerError};

/// Why a worker process could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database or Redis cannot be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The process cannot be told to end.
    #[error("signals cannot be listened for: {0}")]
    Signals(#[source] std::io::Error),
    /// The worker has ended by itself.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Runs the jobs that `registry` has handlers for until SIGTERM or SIGINT, with the settings of
/// this process's environment. The database and Redis are those that the API uses.
///
/// # Errors
/// Where the settings, the database or Redis cannot be used, and where the worker ends by itself.
pub async fn run_until_signalled(registry: Registry) -> Result<(), ProcessError> {
    let settings = settings::load()?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(ProcessError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ProcessError::Signals)?;
    let backend = Backend::open_shared(&settings, "worker").await?;
    let worker = Worker::new(backend, registry, &settings, process_name());
    let ends = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ends.cancel();
    });
    Ok(worker.run(shutdown).await?)
}

/// What tells people which process ran an attempt: its machine, where that says its name, and its
/// number there.
pub fn process_name() -> String {
    let number = std::process::id();
    match std::env::var("HOSTNAME") {
        Ok(machine) if !machine.is_empty() => format!("{machine}-{number}"),
        _ => number.to_string(),
    }
}
