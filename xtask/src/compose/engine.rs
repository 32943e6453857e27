//! A Docker engine: one that runs, or one that this machine's own script can start.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::commands::{docker, output_of};
use crate::{Result, step::succeed, workspace::metadata};

/// Beside the repository's folder: starts an engine, and makes stand-ins for official images where no
/// registry of images can be reached.
const SCRIPT: &str = "../shared/tools/docker-offline";

/// The files that name images.
const FILES: [&str; 3] = [
    "Dockerfile",
    "packaging/proxy/Dockerfile",
    "docker-compose.yml",
];
/// What is built here, and the images of a profile that the test leaves alone.
const NOT_FETCHED: [&str; 4] = ["coatcheck", "prom/", "grafana/", "jaegertracing/"];

/// An engine that answers.
pub(super) struct Engine {
    root: PathBuf,
    script: Option<PathBuf>,
    /// Whether it is ours to end.
    started: bool,
}

impl Engine {
    /// Finds one.
    ///
    /// # Errors
    /// Where there is none, with the reason.
    pub(super) fn find() -> Result<Self> {
        let root = metadata()?.workspace_root;
        let script = Some(root.join(SCRIPT)).filter(|script| script.is_file());
        let mut engine = Self {
            root,
            script,
            started: false,
        };
        if !answers() {
            let script = engine.script.as_deref().ok_or(
                "no Docker engine answers (`docker info`), and nothing here can start one",
            )?;
            succeed(Command::new(script).arg("up"))?;
            engine.started = true;
        }
        Ok(engine)
    }

    /// The repository's folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Has the images made that the files name, where they cannot be fetched.
    pub(super) fn fetch_images(&self) -> Result<()> {
        let Some(script) = &self.script else {
            return Ok(());
        };
        succeed(Command::new(script).arg("images").args(images(&self.root)?))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let (true, Some(script)) = (self.started, &self.script) {
            drop(output_of(Command::new(script).arg("down")));
        }
    }
}

fn answers() -> bool {
    output_of(&mut docker(&["info"])).is_ok()
}

fn images(root: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in FILES {
        let text =
            fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?;
        found.extend(images_in(&text).map(str::to_owned));
    }
    Ok(found)
}

/// What `FROM` and `image:` name, but for what is built here.
fn images_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let rest = line
            .strip_prefix("FROM ")
            .or_else(|| line.strip_prefix("image: "))?;
        let name = rest.split(' ').next()?;
        let fetched = !NOT_FETCHED.iter().any(|other| name.starts_with(other));
        fetched.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_where_they_are_named() {
        let text = "FROM rust:1 AS build\nRUN x\nFROM debian:12\n  image: redis:7\n\
                    \x20 image: coatcheck:${TAG:-latest}\n  image: grafana/grafana:13\n";
        let found: Vec<&str> = images_in(text).collect();
        assert_eq!(found, ["rust:1", "debian:12", "redis:7"]);
    }
}
