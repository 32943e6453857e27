//! `coatcheck check`: whether the settings, the database, Redis and this machine are fit for it.
//!
//! It changes nothing. Each file looks at one thing and says what it finds, as findings.

mod clock;
mod database;
mod files;
mod finding;
mod redis;

use std::{io::Write, process::ExitCode};

use clap::Args;
use coatcheck_shared::settings::{self, Settings, SettingsError};

use self::finding::{Finding, Findings, Status};
use crate::{failure::Failure, file_limit};

/// How `check` is asked.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks everything and prints a line each. The exit status is 1 where something is not fit.
pub(crate) fn run(arguments: &CheckArguments) -> Result<ExitCode, Failure> {
    let findings = match settings::load() {
        Ok(settings) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
            install_tls()?;
            file_limit::raise();
            runtime.block_on(check(&settings))
        }
        Err(error) => wrong_settings(error),
    };
    let text = if arguments.json {
        findings.json()
    } else {
        findings.text()
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::error(format!("the findings could not be written: {error}")))?;
    Ok(match findings.status() {
        Status::Ok | Status::Warn => ExitCode::SUCCESS,
        Status::Fail => ExitCode::FAILURE,
    })
}

async fn check(settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    findings.add(Finding::ok("settings", "they can be read and fit together"));
    database::check(settings, &mut findings).await;
    redis::check(settings, &mut findings).await;
    files::check(settings, &mut findings);
    findings
}

fn wrong_settings(error: SettingsError) -> Findings {
    let mut findings = Findings::default();
    match error {
        SettingsError::Wrong(lines) => {
            for line in lines {
                findings.add(Finding::fail("settings", line));
            }
        }
        SettingsError::NoFile(_) => findings.add(Finding::fail("settings", error.to_string())),
    }
    findings
}

fn install_tls() -> Result<(), Failure> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| Failure::error("TLS had been set up before"))
}
