//! How the program ends when it cannot do what it was asked.

use std::{fmt, io::Write, process::ExitCode};

/// The exit status of wrong arguments and wrong settings.
pub(crate) const USAGE: u8 = 2;
/// The exit status of everything else that went wrong.
const ERROR: u8 = 1;

/// One line on why, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    reason: String,
}

impl Failure {
    /// A failure with an exit status of its own.
    pub(crate) fn new(status: u8, reason: impl fmt::Display) -> Self {
        Self {
            status,
            reason: reason.to_string(),
        }
    }

    /// Something went wrong that better arguments or settings might not mend.
    pub(crate) fn error(reason: impl fmt::Display) -> Self {
        Self::new(ERROR, reason)
    }

    /// Something went wrong in this, told with all its causes.
    pub(crate) fn caused_by(what: &str, error: &dyn std::error::Error) -> Self {
        Self::error(format!("{what}: {}", with_causes(error)))
    }

    /// Tells the person at the terminal, on one line.
    pub(crate) fn report(&self) -> ExitCode {
        let line = self.reason.split_whitespace().collect::<Vec<_>>().join(" ");
        // With stderr gone, the status still tells.
        drop(writeln!(std::io::stderr(), "coatcheck: {line}"));
        ExitCode::from(self.status)
    }
}

/// An error and what it came from, leaving out causes that it repeats itself.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn each_cause_is_told_once() {
        let lowest = Layer("refused", None);
        let middle = Layer("no way: refused", Some(Box::new(lowest)));
        let top = Layer("cannot start", Some(Box::new(middle)));
        assert_eq!(with_causes(&top), "cannot start: no way: refused");
    }
}
