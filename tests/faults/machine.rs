//! What this machine has for faults that not every machine can have.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coatcheck_tests::Result;
use tempfile::TempDir;

use super::strikes::processes::{API_POINTS, WORKER_POINTS};

/// The size of a small disk: room for an empty database, its log, and a round's jobs.
const SMALL_DISK: &str = "size=192M,mode=755";

/// Each either there, or with the reason why not.
pub(crate) struct Machine {
    /// Whether the product was built with failure points.
    pub(crate) failure_points: std::result::Result<(), String>,
    /// The library that gives a process another clock.
    pub(crate) fake_clock: std::result::Result<PathBuf, String>,
    /// Whether a small disk can be mounted.
    pub(crate) small_disk: std::result::Result<(), String>,
}

impl Machine {
    /// Looks at it.
    pub(crate) fn look(binary: &Path) -> Self {
        Self {
            failure_points: look_for_failure_points(binary),
            fake_clock: find_fake_clock()
                .ok_or_else(|| "libfaketime is not installed (Debian: libfaketime)".to_owned()),
            small_disk: SmallDisk::mount()
                .map(drop)
                .map_err(|error| format!("no small disk can be mounted: {error}")),
        }
    }
}

/// The product refuses a point that it does not know: that must not pass for a crash.
fn look_for_failure_points(binary: &Path) -> std::result::Result<(), String> {
    let output = Command::new(binary).arg("failure-points").output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err("the product was built without the feature failure-points".to_owned());
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_there = |point: &str| listed.split_whitespace().any(|word| word == point);
    match API_POINTS
        .iter()
        .chain(&WORKER_POINTS)
        .find(|point| !is_there(point))
    {
        None => Ok(()),
        Some(point) => Err(format!("the product has no failure point {point}")),
    }
}

fn find_fake_clock() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.is_file())
}

/// A disk that is quickly full. Unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts it.
    pub(crate) fn mount() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("coatcheck-disk-")
            .tempdir()?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"])
            .arg(folder.path())
            .output()?;
        if output.status.success() {
            Ok(Self(folder))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().into())
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still holds a file there is about to end.
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
        drop(unmounted);
    }
}
