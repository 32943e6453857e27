//! Where things lie, as cargo says.

use std::{path::PathBuf, process::Command};

use serde::Deserialize;

use crate::Result;

/// What `cargo metadata` tells of the workspace and its dependencies.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Every package of the lock file.
    pub(crate) packages: Vec<Package>,
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
}

/// A package.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SPDX expression of its licence.
    pub(crate) license: Option<String>,
    /// Where it comes from; none for a member of the workspace.
    pub(crate) source: Option<String>,
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Reads the metadata; fails where Cargo.lock is not up to date.
pub(crate) fn metadata() -> Result<Metadata> {
    let output = cargo()
        .args(["metadata", "--locked", "--format-version=1"])
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata: {said}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
