//! What a process can be: everything at once, the API, a worker, or the one that migrates.

pub(crate) mod all_in_one;
pub(crate) mod api;
pub(crate) mod migrate;
pub(crate) mod worker;

use std::{process::ExitCode, time::Duration};

use coatcheck_shared::{
    backend::{Backend, BackendError},
    settings::{self, Settings},
};
use coatcheck_worker::Worker;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Failure, USAGE},
    file_limit, shutdown, telemetry,
};

/// What is left after the drain is not worth more.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// What every role is given.
pub(crate) struct Process {
    pub(crate) settings: Settings,
    pub(crate) metrics: PrometheusHandle,
    /// Fires when the process is to end.
    pub(crate) shutdown: CancellationToken,
}

/// Sets up the process and has it play a role to its end.
pub(crate) fn play<Run>(role: impl FnOnce(Process) -> Run) -> Result<ExitCode, Failure>
where
    Run: Future<Output = Result<(), Failure>>,
{
    let settings = settings::load().map_err(|error| Failure::new(USAGE, error))?;
    telemetry::log(&settings.log)?;
    file_limit::raise();
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return Err(Failure::error("TLS had been set up before"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        shutdown::on_signals(shutdown.clone())?;
        let metrics = telemetry::measure()?;
        role(Process {
            settings,
            metrics,
            shutdown,
        })
        .await
    });
    runtime.shutdown_timeout(LAST_TASKS);
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What it means that there is nothing to work on.
fn no_backend(error: &BackendError) -> Failure {
    match error {
        BackendError::NotShared { .. } => Failure::new(USAGE, format!("settings: {error}")),
        _ => Failure::caused_by("cannot start", error),
    }
}

fn new_worker(backend: Backend, settings: &Settings) -> Result<Worker, Failure> {
    let registry = coatcheck_worker::handlers::builtin(settings)
        .map_err(|error| Failure::caused_by("the worker cannot start", &error))?;
    Ok(Worker::new(backend, registry, settings, worker_name()))
}

/// What an operator finds this worker by: the machine and the process.
fn worker_name() -> String {
    let host = nix::unistd::gethostname().ok();
    let host = host.and_then(|name| name.into_string().ok());
    format!(
        "{}-{}",
        host.as_deref().unwrap_or("worker"),
        std::process::id()
    )
}
