//! What a process can be: everything at once, the API, a worker, or one that does a thing to the
//! database and ends.

pub(crate) mod all_in_one;
pub(crate) mod api;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod worker;

use std::{process::ExitCode, thread::available_parallelism, time::Duration};

use coatcheck_shared::{
    backend::{Backend, BackendError},
    settings::{self, Settings},
};
use coatcheck_worker::Worker;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use url::Url;

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

/// Sets up the process and has it play the role of this name to its end.
pub(crate) fn play<Run>(
    name: &'static str,
    role: impl FnOnce(Process) -> Run,
) -> Result<ExitCode, Failure>
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
        .worker_threads(threads())
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let mut traces = None;
    let outcome = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        shutdown::on_signals(shutdown.clone())?;
        let metrics = telemetry::measure(name)?;
        traces = telemetry::trace(&settings, name)?;
        role(Process {
            settings,
            metrics,
            shutdown,
        })
        .await
    });
    // While there are still threads to send them.
    if let Some(traces) = traces {
        traces.end();
    }
    runtime.shutdown_timeout(LAST_TASKS);
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What it means that there is nothing to work on, told with the server that is to blame.
fn no_backend(settings: &Settings, error: &BackendError) -> Failure {
    let (variable, url) = match error {
        BackendError::NotShared { .. } => {
            return Failure::new(USAGE, format!("settings: {error}"));
        }
        BackendError::Store(_) => ("DATABASE_URL", &settings.database_url),
        BackendError::Queue(_) => ("REDIS_URL", &settings.redis_url),
        BackendError::DataDirectory { .. } => return Failure::caused_by("cannot start", error),
    };
    match url.as_ref().and_then(server_of) {
        Some(server) => Failure::caused_by(&format!("{variable} ({server})"), error),
        None => {
            let folder = settings.data_dir.display();
            Failure::caused_by(&format!("the database in {folder}"), error)
        }
    }
}

/// The host and the port of a URL, without what is secret in it.
fn server_of(url: &SecretString) -> Option<String> {
    let url = Url::parse(url.expose_secret()).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    Some(format!("{host}{port}"))
}

fn new_worker(backend: Backend, settings: &Settings) -> Result<Worker, Failure> {
    let registry = coatcheck_worker::handlers::builtin(settings)
        .map_err(|error| Failure::caused_by("the worker cannot start", &error))?;
    #[cfg(feature = "failure-points")]
    let registry = registry.with_failure_points();
    Ok(Worker::new(backend, registry, settings, worker_name()))
}

/// On how many threads a process does what it does beside answering HTTP: one for two cores. What a
/// job needs of it is soon done. Woken for that, another thread would take a core from what else the
/// machine runs, and carry the work over to it; what takes long is done aside.
fn threads() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
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

#[cfg(test)]
mod tests {
    use coatcheck_shared::{settings::load_from, store::StoreError};

    use super::*;

    #[test]
    fn what_is_away_is_named_without_its_password() {
        let settings = load_from("database_url = \"postgres://me:secret@db:5433/jobs\"").unwrap();
        let failure = no_backend(&settings, &StoreError::timed_out().into());
        let failure = format!("{failure:?}");
        assert!(failure.contains("DATABASE_URL (db:5433): "), "{failure}");
        assert!(!failure.contains("secret"), "{failure}");
    }

    #[test]
    fn a_role_without_its_servers_is_wrong_usage() {
        let settings = load_from("").unwrap();
        let failure = no_backend(&settings, &BackendError::NotShared { role: "api" });
        assert!(format!("{failure:?}").contains("status: 2"), "{failure:?}");
    }
}
