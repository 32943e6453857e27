//! Commands that are only to be seen where they fail.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use coatcheck_tests::pause;

use crate::{Result, interrupt};

/// What a command that is to succeed writes to stdout.
pub(super) fn output_of(command: &mut Command) -> Result<String> {
    interrupt::check()?;
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{:?} did not start: {error}", command.get_program()))?;
    interrupt::check()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// `docker` with arguments.
pub(super) fn docker(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments);
    command
}

/// Looks again and again until it is so.
pub(super) fn wait_until(
    what: &str,
    limit: Duration,
    mut is_so: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        interrupt::check()?;
        if begun.elapsed() > limit {
            return Err(format!("not after {limit:?}: {what}").into());
        }
        pause();
    }
    Ok(())
}
