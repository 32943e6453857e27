//! A process that ends with the value that stands for it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Result, pause};

/// How long a process may take over the signal that ends it before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A process that was started here. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stop_signal: Signal,
}

impl Process {
    /// Starts a program; `stop_signal` is what a drop ends it with.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn start(command: &mut Command, stop_signal: Signal) -> Result<Self> {
        let child = command
            .spawn()
            .map_err(|error| format!("{:?} did not start: {error}", command.get_program()))?;
        Ok(Self { child, stop_signal })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.exit_status()?.is_some() {
            return Err("the process has ended already".into());
        }
        Ok(kill(Pid::from_raw(i32::try_from(self.id())?), signal)?)
    }

    /// How it ended, none while it runs.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, at most `limit`.
    ///
    /// # Errors
    /// Where it still runs then.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            pause();
        }
        Err(format!("process {} still runs after {limit:?}", self.id()).into())
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until `is_ready`, at most `limit`.
    ///
    /// # Errors
    /// Where the process ends before, or is not ready in time; with the end of its log.
    pub fn wait_until_ready(
        &mut self,
        log: &Path,
        limit: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if let Some(status) = self.exit_status()? {
                return Err(format!("ended at once with {status}:\n{}", end_of(log)).into());
            }
            if is_ready() {
                return Ok(());
            }
            pause();
        }
        Err(format!("was not ready after {limit:?}:\n{}", end_of(log)).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.signal(self.stop_signal).is_ok() && self.wait(GRACE).is_err() {
            // Nothing is left to be done where even this fails.
            drop(self.kill());
        }
    }
}

/// The last lines of a log.
pub fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The path of a program: on the path, or in one of `folders`.
///
/// # Errors
/// With what to install.
pub fn find_program(name: &str, folders: &[PathBuf], install: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("{name} is missing: {install}").into())
}
