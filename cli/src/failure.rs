//! How the program ends when it cannot do what it was asked.

use std::{fmt, io::Write, process::ExitCode};

/// The exit status of wrong arguments and wrong settings.
pub(crate) const USAGE: u8 = 2;
/// The exit status where there is no such job, or no result of it.
pub(crate) const NOT_FOUND: u8 = 3;
/// The exit status where the key is missing, wrong, or not enough.
pub(crate) const NOT_ALLOWED: u8 = 4;
/// The exit status where nobody answers, or with a failure of the server's own.
pub(crate) const UNAVAILABLE: u8 = 5;
/// The exit status of a wait that was over before the job was.
pub(crate) const TIMED_OUT: u8 = 6;
/// The exit status of a load test that has failed by a condition of its own.
pub(crate) const CONDITION_HOLDS: u8 = 7;
/// The exit status of everything else that went wrong.
const ERROR: u8 = 1;

/// One line on why, with what belongs to it on lines below, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    reason: String,
    details: Vec<String>,
}

impl Failure {
    /// A failure with an exit status of its own.
    pub(crate) fn new(status: u8, reason: impl fmt::Display) -> Self {
        Self {
            status,
            reason: reason.to_string(),
            details: Vec::new(),
        }
    }

    /// With lines below the first.
    #[must_use]
    pub(crate) fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// The exit status.
    pub(crate) const fn status(&self) -> u8 {
        self.status
    }

    /// Something went wrong that better arguments or settings might not mend.
    pub(crate) fn error(reason: impl fmt::Display) -> Self {
        Self::new(ERROR, reason)
    }

    /// Something went wrong in this, told with all its causes.
    pub(crate) fn caused_by(what: &str, error: &dyn std::error::Error) -> Self {
        Self::error(format!("{what}: {}", with_causes(error)))
    }

    /// Tells the person at the terminal.
    pub(crate) fn report(&self) -> ExitCode {
        let mut text = format!("coatcheck: {}\n", one_line(&self.reason));
        for detail in &self.details {
            text.push_str(&format!("  {}\n", one_line(detail)));
        }
        // With stderr gone, the status still tells.
        drop(std::io::stderr().write_all(text.as_bytes()));
        ExitCode::from(self.status)
    }
}

/// Without line breaks, and without what a terminal would obey: parts may come from elsewhere.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace(char::is_control, "\u{fffd}")
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
