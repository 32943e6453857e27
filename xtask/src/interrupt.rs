//! Ctrl-C and SIGTERM: the running command is ended, and the task then fails as it would where that
//! command fails, so that servers and temporary folders go with their values.

use std::{
    process::{Command, ExitStatus},
    sync::{Mutex, PoisonError},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::Result;

struct State {
    interrupted: bool,
    running: Option<Pid>,
}

static STATE: Mutex<State> = Mutex::new(State {
    interrupted: false,
    running: None,
});

fn with_state<T>(act: impl FnOnce(&mut State) -> T) -> T {
    act(&mut STATE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Begins to listen.
pub(crate) fn listen() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            with_state(|state| {
                state.interrupted = true;
                if let Some(process) = state.running {
                    // It may have ended in this moment.
                    kill(process, Signal::SIGTERM).ok();
                }
            });
        }
    });
    Ok(())
}

/// An error once the task has been interrupted.
pub(crate) fn check() -> Result<()> {
    if with_state(|state| state.interrupted) {
        return Err("interrupted".into());
    }
    Ok(())
}

/// Runs a command to its end, or until the task is interrupted.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    check()?;
    let mut child = command
        .spawn()
        .map_err(|error| format!("{:?} did not start: {error}", command.get_program()))?;
    let process = Pid::from_raw(i32::try_from(child.id())?);
    with_state(|state| state.running = Some(process));
    let status = child.wait();
    with_state(|state| state.running = None);
    check()?;
    Ok(status?)
}
