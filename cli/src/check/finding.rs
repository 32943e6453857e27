//! What was found, and how it is told.

use serde::Serialize;

use crate::failure::one_line;

/// How good or bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// It works, and something can be lost or slow by it.
    Warn,
    /// It does not work, or what was promised is not kept.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) status: Status,
    /// How it is; where that is not well, what would be.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, message)
    }

    pub(super) fn warn(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Warn, message)
    }

    pub(super) fn fail(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Fail, message)
    }

    fn new(check: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self {
            check,
            status,
            message: one_line(&message.into()),
        }
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

/// All of it, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    status: Status,
    checks: &'a [Finding],
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// The worst of them.
    pub(super) fn status(&self) -> Status {
        let statuses = self.0.iter().map(|finding| finding.status);
        statuses.max().unwrap_or(Status::Ok)
    }

    /// A line each.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.0 {
            let status = match finding.status {
                Status::Ok => "ok",
                Status::Warn => "warn",
                Status::Fail => "fail",
            };
            text.push_str(&format!(
                "{status:<4}  {:<20}  {}\n",
                finding.check, finding.message
            ));
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let report = Report {
            status: self.status(),
            checks: &self.0,
        };
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        text
    }
}
