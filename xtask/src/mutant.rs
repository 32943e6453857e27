//! The product with a guard taken out: a copy of its sources with one change, built beside it.
//!
//! What a guard is good for shows where it is missing. The copy lies in the target folder; the
//! sources stay as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result,
    step::succeed,
    workspace::{cargo, metadata},
};

/// A guard: where it stands, and what stands there without it.
struct Guard {
    name: &'static str,
    file: &'static str,
    with: &'static str,
    without: &'static str,
}

/// Each of these has a fault that is harmless only because of it.
const GUARDS: [Guard; 4] = [
    // A result counts only where it is the newest attempt's.
    Guard {
        name: "attempt",
        file: "shared/src/store/postgres/runs.rs",
        with: "AND jobs.attempt = done.attempt AND jobs.lease = done.lease",
        without: "",
    },
    // Lost hints are pushed again.
    Guard {
        name: "dispatcher",
        file: "worker/src/keepers/dispatcher.rs",
        with: "if hints.is_empty() {",
        without: "if !hints.is_empty() || hints.is_empty() {",
    },
    // Jobs of dead workers are taken back.
    Guard {
        name: "rescuer",
        file: "worker/src/keepers/rescuer.rs",
        with: "self.rescue().await?;",
        without: "if false { self.rescue().await?; }",
    },
    // A worker stops its handlers before its lease can end.
    Guard {
        name: "lease",
        file: "worker/src/lease.rs",
        with: "lease.lost.cancel();",
        without: "",
    },
];

/// Builds the product without a guard; its binary.
pub(crate) fn build(name: &str) -> Result<PathBuf> {
    let guard = GUARDS
        .iter()
        .find(|guard| guard.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = GUARDS.iter().map(|guard| guard.name).collect();
            format!("there is no guard {name:?}, there are {}", names.join(", "))
        })?;
    let copy = metadata()?.target_directory.join("mutant");
    copy_sources(&copy)?;
    let file = copy.join(guard.file);
    fs::write(&file, guard.taken_out_of(&fs::read_to_string(&file)?)?)?;
    // A target folder of its own: cargo tells two copies of a workspace not apart, and would take
    // what was built of this one for what is to be built of the other.
    let target = copy.join("target");
    succeed(
        cargo()
            .current_dir(&copy)
            .args(["build", "--locked", "--package=coatcheck"])
            .arg("--features=failure-points")
            .env("CARGO_TARGET_DIR", &target),
    )?;
    Ok(target.join("debug/coatcheck"))
}

impl Guard {
    /// The text without it.
    fn taken_out_of(&self, text: &str) -> Result<String> {
        if text.matches(self.with).count() != 1 {
            let (name, file) = (self.name, self.file);
            return Err(format!(
                "the guard {name:?} is not where it was in {file}: see xtask/src/mutant.rs"
            )
            .into());
        }
        Ok(text.replacen(self.with, self.without, 1))
    }
}

fn root() -> Result<&'static Path> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(xtask.parent().ok_or("xtask lies in no folder")?)
}

/// What git knows and what is new; files that are as they were stay, so that only what has changed
/// is built again.
fn copy_sources(copy: &Path) -> Result<()> {
    let root = root()?;
    let listed = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()?;
    if !listed.status.success() {
        return Err("the sources are not in a git repository".into());
    }
    for file in String::from_utf8(listed.stdout)?.lines().map(Path::new) {
        // One that has just been deleted is still listed.
        let Ok(text) = fs::read(root.join(file)) else {
            continue;
        };
        let to = copy.join(file);
        if fs::read(&to).is_ok_and(|there| there == text) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(to, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_where_it_is_said_to_be() {
        let root = root().unwrap();
        for guard in &GUARDS {
            let text = fs::read_to_string(root.join(guard.file)).unwrap();
            assert_ne!(guard.taken_out_of(&text).unwrap(), text, "{}", guard.name);
        }
    }
}
