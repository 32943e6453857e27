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
    /// The repository's folder.
    pub(crate) workspace_root: PathBuf,
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
///
/// It must not see what cargo has told this program of its own package: a build script that looks
/// at these variables (ring's) would run again, here and at the next `cargo build` by hand, and all
/// that depends on it would be compiled again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
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
