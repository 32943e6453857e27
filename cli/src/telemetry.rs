//! Logs, metrics and traces of a process.

mod traces;

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use coatcheck_shared::{
    metric_catalogue,
    settings::{LogFormat, LogSettings},
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

pub(crate) use self::traces::trace;
use crate::failure::{Failure, USAGE};

/// What is too talkative at the default level; the setting can say otherwise.
const QUIETER: &str = "actix_server=warn";

/// Upper bounds of how long answers take: half a millisecond to the longest `Prefer: wait`.
const SECONDS: [f64; 16] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// Upper bounds of how long jobs wait and run: a millisecond to a day.
const JOB_SECONDS: [f64; 18] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    1_800.0, 7_200.0, 86_400.0,
];
/// Upper bounds of how many writes share a statement.
const GROUP_SIZES: [f64; 11] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1_000.0,
];
/// How often what was measured is put into buckets, for nobody may ever ask for it; and how often
/// the process itself is measured.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Has every event logged as one line on stderr, with the fields of its spans.
pub(crate) fn log(settings: &LogSettings) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .parse(format!("{QUIETER},{}", settings.filter))
        .map_err(|error| {
            let value = &settings.filter;
            let reason = format!(
                "settings: log.filter is {value:?}, it must be levels and targets like \
                 \"info,coatcheck_worker=debug\": {error}"
            );
            Failure::new(USAGE, reason)
        })?;
    let is_terminal = stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_env_filter(filter);
    let installed = match settings.format {
        LogFormat::Auto if is_terminal => lines.try_init(),
        LogFormat::Human => lines.with_ansi(is_terminal).try_init(),
        LogFormat::Auto | LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
    log_panics();
    installed.map_err(|error| Failure::error(format!("logging cannot be set up: {error}")))
}

/// Has a panic logged like everything else, on one line, under the job or request that it was in. A
/// panic's own words may hold what was worked on, so they are left to the level `trace`.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "a panic");
        tracing::trace!(message = panic.payload_as_str(), "its words");
    }));
}

/// Has everything measured in a process of this role. Must be called inside a tokio runtime.
pub(crate) fn measure(role: &'static str) -> Result<PrometheusHandle, Failure> {
    let failure = |error: &dyn std::error::Error| Failure::caused_by("metrics", error);
    let recorder = buckets(PrometheusBuilder::new())
        .map_err(|error| failure(&error))?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failure(&error))?;
    metric_catalogue::describe();
    let version = env!("CARGO_PKG_VERSION");
    metrics::gauge!("coatcheck_build_info", "version" => version, "role" => role).set(1.0);
    let process = metrics_process::Collector::default();
    process.collect();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut next = tokio::time::interval(UPKEEP_EVERY);
        loop {
            next.tick().await;
            process.collect();
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

fn buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    builder
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Prefix("coatcheck_job_".to_owned()), &JOB_SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_group_size".to_owned()), &GROUP_SIZES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_group_sizes_are_histograms() {
        let recorder = buckets(PrometheusBuilder::new()).unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("coatcheck_job_run_seconds").record(0.004);
            metrics::histogram!("coatcheck_group_size", "group" => "insert").record(30.0);
        });
        let text = handle.render();
        for line in [
            "coatcheck_job_run_seconds_bucket{le=\"0.001\"} 0",
            "coatcheck_job_run_seconds_bucket{le=\"0.005\"} 1",
            "coatcheck_group_size_bucket{group=\"insert\",le=\"50\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn a_wrong_filter_is_wrong_usage() {
        let settings = LogSettings {
            format: LogFormat::Human,
            filter: "info,=,=".to_owned(),
        };
        let failure = log(&settings).unwrap_err();
        assert!(format!("{failure:?}").contains("log.filter"));
    }
}
