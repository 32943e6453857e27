//! `coatcheck load`, and what it reports.

use std::{collections::BTreeMap, fs::File, path::Path, process::Command};

use serde::Deserialize;

use crate::{Result, interrupt};

/// The part of its report that the table shows.
#[derive(Deserialize)]
pub(crate) struct Report {
    pub(crate) accepted: u64,
    pub(crate) accepted_per_s: f64,
    pub(crate) drained_s: Option<f64>,
    pub(crate) drained_per_s: Option<f64>,
    pub(crate) errors: BTreeMap<String, Error>,
    pub(crate) latency_ms: Latencies,
}

impl Report {
    /// All that went wrong.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
    }

    /// The report, where nothing went wrong: a point of a chart could not say that something did.
    pub(crate) fn flawless(self) -> Result<Self> {
        let errors = self.error_count();
        if errors > 0 {
            return Err(format!("there were {errors} errors under load").into());
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
pub(crate) struct Error {
    pub(crate) count: u64,
}

#[derive(Deserialize)]
pub(crate) struct Latencies {
    pub(crate) post: Option<Quantiles>,
    pub(crate) post_to_result: Option<Quantiles>,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Drives the API at `url`.
pub(crate) fn load(binary: &Path, url: &str, arguments: &[&str]) -> Result<Report> {
    let output = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(binary);
    command
        .args(["load", "--json", "--url", url])
        .args(arguments)
        .stdout(File::create(output.path())?);
    eprintln!("   coatcheck load {}", arguments.join(" "));
    let status = interrupt::run(&mut command)?;
    let text = std::fs::read_to_string(output.path())?;
    // Errors under load are in the report, which the table shows; no report is a failure.
    serde_json::from_str(&text)
        .map_err(|error| format!("coatcheck load ended with {status}: {error}: {text}").into())
}
