//! Steps of a task, one after another, each with its time.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{Result, interrupt};

/// What has been done so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Does a step. The first that fails ends the task.
    pub(crate) fn step<T>(
        &mut self,
        name: &'static str,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        interrupt::check()?;
        println!("\n── {name}");
        let begun = Instant::now();
        let outcome = act().map_err(|error| format!("step \"{name}\" failed: {error}"))?;
        self.done.push((name, begun.elapsed()));
        Ok(outcome)
    }

    /// Does a step that is one command.
    pub(crate) fn command(&mut self, name: &'static str, command: &mut Command) -> Result<()> {
        self.step(name, || succeed(command))
    }

    /// Prints how long each step took.
    pub(crate) fn report(&self) {
        println!();
        for (name, time) in &self.done {
            println!("{:>7.1} s  {name}", time.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, time)| *time).sum();
        println!("{:>7.1} s  in all: every step passed", total.as_secs_f64());
    }
}

/// Runs a command that is to succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = interrupt::run(command)?;
    if status.success() {
        return Ok(());
    }
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    Err(format!("`{}` ended with {status}", words.join(" ")).into())
}
