//! Says what a round shows to be broken.
//!
//! It knows the HTTP contract and nothing of the product: no state machine, no store, no lease.
//! Its only sources are what clients asked and were answered, what the programs noted that really
//! ran, and one reading of all jobs in the end.

mod answers;
mod facts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use self::{
    answers::{answers_keep_the_contract, what_was_stored_is_answered},
    facts::{Facts, looks},
};
use super::history::{Answer, Execution, History, Request};

/// How exact a program's note of the time is: the kernel counts uptime in hundredths, and a note may
/// read earlier than what led to it.
const GRAIN: Duration = Duration::from_millis(30);

/// A promise that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Promise {
    Lost,
    DuplicateJobs,
    TerminalChanged,
    ResultChanged,
    Unknown,
    TooManyAttempts,
    StartedAfterCancel,
    CancelDisagrees,
    SideBySide,
    Reset,
    WrongAnswer,
    LateAnswer,
    NeverAccepted,
    Died,
    Slow,
    Expectation,
}

impl Promise {
    /// Every one, in the order of the table.
    pub(crate) const ALL: [Self; 16] = [
        Self::Lost,
        Self::DuplicateJobs,
        Self::TerminalChanged,
        Self::ResultChanged,
        Self::Unknown,
        Self::TooManyAttempts,
        Self::StartedAfterCancel,
        Self::CancelDisagrees,
        Self::SideBySide,
        Self::Reset,
        Self::WrongAnswer,
        Self::LateAnswer,
        Self::NeverAccepted,
        Self::Died,
        Self::Slow,
        Self::Expectation,
    ];

    /// The row of the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Lost => "accepted jobs that came to no end",
            Self::DuplicateJobs => "more than one job for a key",
            Self::TerminalChanged => "terminal states changed",
            Self::ResultChanged => "results changed, or of no execution",
            Self::Unknown => "acknowledged ids that read 404",
            Self::TooManyAttempts => "executions over max_attempts, or twice",
            Self::StartedAfterCancel => "attempts started after a 200 to cancel",
            Self::CancelDisagrees => "answers to cancel against the final state",
            Self::SideBySide => "attempts at one job side by side",
            Self::Reset => "accepted requests reset",
            Self::WrongAnswer => "answers outside the contract",
            Self::LateAnswer => "answers later than 4 s",
            Self::NeverAccepted => "submissions refused to the end",
            Self::Died => "processes that died by themselves",
            Self::Slow => "jobs that ended later than 15 s after healing",
            Self::Expectation => "what was to be seen during the fault, and was not",
        }
    }
}

/// A promise that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.promise.title(), self.what)
    }
}

/// Everything that is broken in this history.
pub(crate) fn judge(history: &History) -> Vec<Violation> {
    let mut found = Found::default();
    let facts = Facts::of(history);
    acknowledged_jobs_end(&facts, &mut found);
    one_job_a_key(&facts, &mut found);
    ends_stay(&facts, &mut found);
    results_stay(&facts, &mut found);
    acknowledged_ids_are_known(&facts, &mut found);
    executions_are_within_bounds(&facts, &mut found);
    cancels_are_kept(&facts, &mut found);
    for exchange in &history.exchanges {
        answers_keep_the_contract(exchange, history, &mut found);
    }
    what_was_stored_is_answered(history, &mut found);
    for key in &history.never_accepted {
        found.add(Promise::NeverAccepted, key);
    }
    for process in &history.died {
        found.add(Promise::Died, process);
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, promise: Promise, what: impl Into<String>) {
        let what = what.into();
        self.0.push(Violation { promise, what });
    }
}

fn acknowledged_jobs_end(facts: &Facts<'_>, found: &mut Found) {
    for id in facts.acknowledged.keys() {
        match facts.jobs.get(id) {
            None => found.add(Promise::Lost, format!("{id} is not listed in the end")),
            Some(job) if !job.is_terminal() => {
                found.add(Promise::Lost, format!("{id} is still {}", job.state));
            }
            Some(_) => {}
        }
    }
}

fn one_job_a_key(facts: &Facts<'_>, found: &mut Found) {
    let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for job in &facts.history.jobs {
        ids.entry(&job.key).or_default().insert(&job.id);
    }
    for exchange in &facts.history.exchanges {
        if let (Request::Submit { key }, Some(200 | 202), Some(job)) = (
            &exchange.request,
            exchange.answer.status(),
            exchange.answer.job(),
        ) {
            ids.entry(key).or_default().insert(&job.id);
        }
    }
    for (key, ids) in ids {
        if ids.len() > 1 {
            found.add(Promise::DuplicateJobs, format!("{key}: {ids:?}"));
        }
    }
}

fn ends_stay(facts: &Facts<'_>, found: &mut Found) {
    for id in facts.by_job.keys() {
        let looks = looks(facts, id);
        let changed = looks
            .iter()
            .filter(|look| look.job.is_terminal())
            .find_map(|end| {
                let later = looks.iter().find(|later| {
                    later.asked_at > end.answered_at
                        && later.job != end.job
                        && (end.job.state == "succeeded"
                            || !facts.may_have_been_retried(id, end.asked_at, later.answered_at))
                })?;
                Some((end.job, later.job))
            });
        if let Some((end, later)) = changed {
            found.add(
                Promise::TerminalChanged,
                format!("{end:?} became {later:?}"),
            );
        }
    }
}

fn results_stay(facts: &Facts<'_>, found: &mut Found) {
    for (id, exchanges) in &facts.by_job {
        let bodies: BTreeSet<&str> = exchanges
            .iter()
            .filter(|exchange| matches!(exchange.request, Request::Result { .. }))
            .filter_map(|exchange| match &exchange.answer {
                Answer::Whole {
                    status: 200, body, ..
                } => Some(body.as_str()),
                _ => None,
            })
            .collect();
        if bodies.len() > 1 {
            found.add(Promise::ResultChanged, format!("{id}: {bodies:?}"));
        }
        // A program's result names its attempt and its process.
        for body in bodies {
            let words: Vec<&str> = body.split_whitespace().collect();
            let ["ran", attempt, process] = words.as_slice() else {
                continue;
            };
            let ran = facts.executions.get(id).is_some_and(|executions| {
                executions.iter().any(|execution| {
                    execution.attempt.to_string() == *attempt
                        && execution.process.to_string() == *process
                        && execution.ended_at.is_some()
                })
            });
            if !ran {
                found.add(
                    Promise::ResultChanged,
                    format!("{id}: nothing ran {body:?}"),
                );
            }
            let newest = facts.jobs.get(id).map(|job| job.attempt.to_string());
            if newest.is_some_and(|newest| newest != *attempt) {
                found.add(
                    Promise::ResultChanged,
                    format!("{id}: {body:?} is not of its newest attempt"),
                );
            }
        }
    }
}

fn acknowledged_ids_are_known(facts: &Facts<'_>, found: &mut Found) {
    for (id, acknowledged_at) in &facts.acknowledged {
        for exchange in facts.of_job(id) {
            let looked = matches!(
                exchange.request,
                Request::Get { .. } | Request::Cancel { .. } | Request::Retry { .. }
            );
            if looked
                && exchange.asked_at > *acknowledged_at
                && exchange.answer.status() == Some(404)
            {
                found.add(Promise::Unknown, format!("{:?}", exchange.request));
            }
        }
    }
}

fn executions_are_within_bounds(facts: &Facts<'_>, found: &mut Found) {
    let excuses = facts.history.excuses;
    for (id, executions) in &facts.executions {
        let Some(job) = facts.jobs.get(id) else {
            continue;
        };
        let mut attempts = BTreeSet::new();
        for execution in executions {
            if execution.attempt > job.max_attempts {
                let (attempt, most) = (execution.attempt, job.max_attempts);
                found.add(
                    Promise::TooManyAttempts,
                    format!("{id}: attempt {attempt} of {most}"),
                );
            }
            if !attempts.insert(execution.attempt) && !excuses.handed_back {
                let attempt = execution.attempt;
                found.add(
                    Promise::TooManyAttempts,
                    format!("{id}: attempt {attempt} ran twice"),
                );
            }
        }
        if !excuses.side_by_side {
            side_by_side(id, executions, found);
        }
    }
}

fn side_by_side(id: &str, executions: &[&Execution], found: &mut Found) {
    for first in executions {
        let Some(ended_at) = first.ended_at else {
            continue;
        };
        let overlapping = executions.iter().find(|other| {
            other.attempt > first.attempt
                && other.began_at > first.began_at
                && other.began_at + GRAIN < ended_at
        });
        if let Some(other) = overlapping {
            found.add(
                Promise::SideBySide,
                format!("{id}: attempts {} and {}", first.attempt, other.attempt),
            );
        }
    }
}

fn cancels_are_kept(facts: &Facts<'_>, found: &mut Found) {
    for (id, exchanges) in &facts.by_job {
        for exchange in exchanges
            .iter()
            .filter(|exchange| matches!(exchange.request, Request::Cancel { .. }))
        {
            let end = facts.jobs.get(id);
            let retried = |until| facts.may_have_been_retried(id, exchange.asked_at, until);
            match (exchange.answer.status(), exchange.answer.job()) {
                (Some(200), Some(answered)) => {
                    if answered.state != "cancelled" {
                        found.add(Promise::CancelDisagrees, format!("{id}: 200 {answered:?}"));
                    }
                    let began = facts.executions.get(id).into_iter().flatten().find(|run| {
                        run.attempt > answered.attempt
                            && run.began_at > exchange.answered_at + GRAIN
                            && !retried(run.began_at + GRAIN)
                    });
                    if let Some(run) = began {
                        let attempt = run.attempt;
                        found.add(
                            Promise::StartedAfterCancel,
                            format!("{id}: attempt {attempt}"),
                        );
                    }
                    if end.is_some_and(|job| job.state != "cancelled") && !retried(Duration::MAX) {
                        found.add(Promise::CancelDisagrees, format!("{id}: 200, then {end:?}"));
                    }
                }
                (Some(409), _)
                    if end.is_some_and(|job| job.state == "cancelled")
                        && !retried(Duration::MAX) =>
                {
                    found.add(
                        Promise::CancelDisagrees,
                        format!("{id}: 409, then cancelled"),
                    );
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
