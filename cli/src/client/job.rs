//! A job as the server describes it, and as people are shown it.

use std::{collections::BTreeMap, process::ExitCode};

use coatcheck_shared::{job::State, timestamp::Timestamp};
use serde::Deserialize;

use super::times::{Times, rough};

/// A job, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) queue: String,
    pub(super) state: State,
    priority: String,
    attempt: u32,
    max_attempts: u32,
    created_at: Timestamp,
    run_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    pub(super) progress: Option<Progress>,
    error: Option<JobError>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// How far a job says it is.
#[derive(Debug, Deserialize)]
pub(super) struct Progress {
    pub(super) percent: f32,
    pub(super) message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct JobError {
    #[serde(rename = "type")]
    error_type: String,
    message: String,
}

impl Job {
    /// The exit status that its end means.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.state != State::Succeeded))
    }

    /// Name and value of what is to be said of it.
    pub(super) fn rows(&self, times: Times) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
        row("id", self.id.clone());
        row("kind", self.kind.clone());
        row("state", self.state_and_progress());
        row(
            "queue",
            format!("{}, {} priority", self.queue, self.priority),
        );
        row(
            "attempt",
            format!("{} of {}", self.attempt, self.max_attempts),
        );
        row("created", times.of(self.created_at));
        if self.state == State::Scheduled {
            row("runs", times.of(self.run_at));
        }
        if let Some(time) = self.started_at {
            row("started", times.of(time));
        }
        if let Some(time) = self.finished_at {
            row("finished", times.of(time));
        }
        if let Some(time) = self.expires_at {
            row("expires", times.of(time));
        }
        for (name, value) in &self.metadata {
            row("metadata", format!("{name}={value}"));
        }
        if let Some(error) = &self.error {
            row("error", format!("{}: {}", error.error_type, error.message));
        }
        rows
    }

    fn state_and_progress(&self) -> String {
        let state = self.state;
        match (&self.progress, self.ran_s()) {
            (Some(progress), _) if state == State::Running => match &progress.message {
                Some(message) => format!("{state}, {:.0} %: {message}", progress.percent),
                None => format!("{state}, {:.0} %", progress.percent),
            },
            (_, Some(ran)) => format!("{state} after {ran}"),
            _ => state.to_string(),
        }
    }

    /// How long its last attempt ran.
    fn ran_s(&self) -> Option<String> {
        let (started, finished) = (self.started_at?, self.finished_at?);
        Some(rough(finished.since(started)))
    }

    /// The heads of [`Job::columns`].
    pub(super) fn column_heads() -> Vec<String> {
        ["ID", "KIND", "QUEUE", "STATE", "ATTEMPT", "CREATED", "RAN"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Its line in a list.
    pub(super) fn columns(&self, times: Times) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind.clone(),
            self.queue.clone(),
            self.state.to_string(),
            format!("{}/{}", self.attempt, self.max_attempts),
            times.of(self.created_at),
            self.ran_s().unwrap_or_default(),
        ]
    }
}

/// The id in what a person has at hand: the id, the job's URL, or its path.
pub(super) fn id(text: &str) -> Result<String, String> {
    let id = text
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    if id.is_empty() {
        return Err("it must be a job's id or its URL".to_owned());
    }
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_given_as_the_location() {
        for text in ["1-2", "/v1/jobs/1-2", "http://x:80/v1/jobs/1-2/"] {
            assert_eq!(id(text).as_deref(), Ok("1-2"));
        }
        assert!(id("/").is_err() && id("").is_err());
    }
}
