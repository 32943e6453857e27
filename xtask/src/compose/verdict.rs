//! Whether every job that was accepted has ended well, and is there once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use coatcheck_tests::http_get::http_get;
use serde_json::Value;

use super::{commands::wait_until, stack::Stack, stream::Stream, table::Table};
use crate::Result;

/// Longer than a lease, its sweep and the longest job.
const DRAINED: Duration = Duration::from_secs(90);

const SUCCEEDED: &str = "psql --username coatcheck -At DATABASE \
    -c \"SELECT count(*) FROM jobs WHERE state = 'succeeded'\"";

const DUMP_AND_RESTORE: &str = "pg_dump --username coatcheck --format custom coatcheck > /tmp/dump; \
    createdb --username coatcheck restored; \
    pg_restore --username coatcheck --dbname restored --exit-on-error /tmp/dump";

/// Ends the submissions, waits until nothing is left to do, and compares.
pub(super) fn reach(stack: &Stack, stream: Stream, table: &mut Table) -> Result<()> {
    println!("── verdict");
    let begun = Instant::now();
    let accepted = stream.end()?;
    wait_until("every job has ended", DRAINED, || {
        let active = page(stack, "state=scheduled,queued,running&limit=1")?;
        Ok(active["items"].as_array().is_some_and(Vec::is_empty))
    })?;
    table.add("until the last job had ended", begun.elapsed(), None);

    let jobs = jobs(stack)?;
    let repeated = jobs.values().filter(|job| job.attempts > 1).count();
    table.note(format!(
        "{} jobs accepted, {} there, {} succeeded, {repeated} of them not at the first attempt",
        accepted.len(),
        jobs.len(),
        jobs.values().filter(|job| job.state == "succeeded").count(),
    ));
    compare(accepted, &jobs)?;
    restore(stack, jobs.len(), table)
}

/// How many jobs have succeeded, as the database says.
pub(super) fn finished(stack: &Stack) -> Result<u64> {
    let count = stack.shell("postgres", &SUCCEEDED.replace("DATABASE", "coatcheck"))?;
    Ok(count.trim().parse()?)
}

struct Job {
    state: String,
    attempts: u64,
}

fn compare(accepted: Vec<String>, jobs: &BTreeMap<String, Job>) -> Result<()> {
    let accepted: BTreeSet<String> = accepted.into_iter().collect();
    let there: BTreeSet<String> = jobs.keys().cloned().collect();
    if accepted != there {
        let lost: Vec<_> = accepted.difference(&there).collect();
        let doubled: Vec<_> = there.difference(&accepted).collect();
        return Err(format!("lost: {lost:?}; nobody's: {doubled:?}").into());
    }
    match jobs.iter().find(|(_, job)| job.state != "succeeded") {
        None => Ok(()),
        Some((id, job)) => Err(format!("job {id} has {}", job.state).into()),
    }
}

/// A dump of the database makes the same jobs again.
fn restore(stack: &Stack, jobs: usize, table: &mut Table) -> Result<()> {
    let begun = Instant::now();
    stack.shell("postgres", DUMP_AND_RESTORE)?;
    let restored = stack.shell("postgres", &SUCCEEDED.replace("DATABASE", "restored"))?;
    table.add("dumped and restored", begun.elapsed(), None);
    if restored.trim() == jobs.to_string() {
        return Ok(());
    }
    Err(format!("{} of {jobs} jobs were restored", restored.trim()).into())
}

/// Every job, as a client sees it.
fn jobs(stack: &Stack) -> Result<BTreeMap<String, Job>> {
    let mut jobs = BTreeMap::new();
    let mut query = "limit=1000".to_owned();
    loop {
        let list = page(stack, &query)?;
        for job in list["items"].as_array().into_iter().flatten() {
            let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
            let attempts = job["attempt"].as_u64().unwrap_or_default();
            let state = text("state");
            jobs.insert(text("id"), Job { state, attempts });
        }
        match list["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=1000&cursor={cursor}"),
            None => return Ok(jobs),
        }
    }
}

fn page(stack: &Stack, query: &str) -> Result<Value> {
    let (status, body) = http_get(stack.address(), &format!("/v1/jobs?{query}"))?;
    if ![200, 206].contains(&status) {
        return Err(format!("the list is answered {status}: {body}").into());
    }
    Ok(serde_json::from_str(&body)?)
}
