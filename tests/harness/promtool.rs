//! Prometheus' own checker of metrics, rules and settings.

use std::path::{Path, PathBuf};

use crate::{Result, process::find_program, product};

/// What Debian's package of Prometheus is unpacked into, within the target folder: it is not
/// installed, for then it would start a Prometheus.
pub const FOLDER: &str = "prometheus";

const MISSING: &str = "it comes with Prometheus; put it on the path, or on Debian run `cargo xtask test`, which fetches it";

/// The program, on the path or where `cargo xtask` has put it.
///
/// # Errors
/// Where it is in neither place.
pub fn find() -> Result<PathBuf> {
    let binary = product::binary()?;
    // The product lies in target/debug.
    find_beside(binary.ancestors().nth(2).unwrap_or(Path::new("/")))
}

/// The same, given the target folder.
///
/// # Errors
/// The same.
pub fn find_beside(target: &Path) -> Result<PathBuf> {
    let folder = target.join(FOLDER).join("usr/bin");
    find_program("promtool", &[folder], MISSING)
}
