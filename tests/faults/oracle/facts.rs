//! The history, in the order in which the oracle asks for it.

use std::{collections::BTreeMap, time::Duration};

use crate::history::{Exchange, Execution, History, JobSeen, Request};

/// The history, by job.
pub(super) struct Facts<'a> {
    pub(super) history: &'a History,
    pub(super) by_job: BTreeMap<&'a str, Vec<&'a Exchange>>,
    pub(super) executions: BTreeMap<&'a str, Vec<&'a Execution>>,
    pub(super) jobs: BTreeMap<&'a str, &'a JobSeen>,
    /// When each id was first acknowledged.
    pub(super) acknowledged: BTreeMap<&'a str, Duration>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut facts = Self {
            history,
            by_job: BTreeMap::new(),
            executions: BTreeMap::new(),
            jobs: history
                .jobs
                .iter()
                .map(|job| (job.id.as_str(), job))
                .collect(),
            acknowledged: BTreeMap::new(),
        };
        for exchange in &history.exchanges {
            if let Some(job) = exchange.request.job() {
                facts.by_job.entry(job).or_default().push(exchange);
            } else if let (Some(200 | 202), Some(job)) =
                (exchange.answer.status(), exchange.answer.job())
            {
                let at = facts
                    .acknowledged
                    .entry(&job.id)
                    .or_insert(exchange.answered_at);
                *at = exchange.answered_at.min(*at);
                facts.by_job.entry(&job.id).or_default().push(exchange);
            }
        }
        for execution in &history.executions {
            facts
                .executions
                .entry(&execution.id)
                .or_default()
                .push(execution);
        }
        facts
    }

    pub(super) fn of_job(&self, id: &str) -> &[&'a Exchange] {
        self.by_job.get(id).map_or(&[], Vec::as_slice)
    }

    /// Whether a retry may have been made between two instants: accepted, or its fate unknown.
    pub(super) fn may_have_been_retried(
        &self,
        id: &str,
        after: Duration,
        before: Duration,
    ) -> bool {
        self.of_job(id).iter().any(|exchange| {
            matches!(exchange.request, Request::Retry { .. })
                && exchange.asked_at < before
                && match exchange.answer.status() {
                    Some(202) => exchange.answered_at > after,
                    // What was not answered may be done at any later time.
                    None | Some(503) => true,
                    Some(_) => false,
                }
        })
    }
}

/// What a job looked like between two instants.
pub(super) struct Look<'a> {
    pub(super) asked_at: Duration,
    pub(super) answered_at: Duration,
    pub(super) job: &'a JobSeen,
}

pub(super) fn looks<'a>(facts: &Facts<'a>, id: &str) -> Vec<Look<'a>> {
    let mut looks: Vec<Look<'a>> = facts
        .of_job(id)
        .iter()
        // The answer to a submission shows the job as it was stored, not as it is.
        .filter(|exchange| !matches!(exchange.request, Request::Submit { .. }))
        .filter_map(|exchange| {
            Some(Look {
                asked_at: exchange.asked_at,
                answered_at: exchange.answered_at,
                job: exchange.answer.job()?,
            })
        })
        .collect();
    if let Some(&job) = facts.jobs.get(id) {
        looks.push(Look {
            asked_at: Duration::MAX,
            answered_at: Duration::MAX,
            job,
        });
    }
    looks
}
