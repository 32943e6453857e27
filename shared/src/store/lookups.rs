//! Jobs by their ids: whoever asks at the same time shares one statement.
//!
//! Polls come in crowds: many clients ask at once, and one signal wakes all who wait for the jobs
//! of a group. A statement of its own for each of them costs the database more than the job did.
//! Nothing is remembered: every answer was read after its question had been asked.

use std::{collections::HashMap, future::Future, time::Duration};

use uuid::Uuid;

use super::{GroupCommit, GroupCommitSettings, StoreError, rows::JobRow};
use crate::job::{Job, JobId, Tenant};

/// How many statements may be under way at once: one that is slow holds up only half of them.
const STATEMENTS_AT_ONCE: usize = 2;

/// How many jobs a statement asks for at most.
const MOST_TOGETHER: usize = 256;

/// How many may wait to be asked for.
const MOST_WAITING: usize = 20_000;

type Wanted = (Tenant, JobId);
type Found = Result<Option<Job>, StoreError>;

/// Reads jobs by their ids.
pub(super) struct Lookups(GroupCommit<Wanted, Found>);

impl Lookups {
    /// Starts reading, until this is dropped; there must be a runtime. `find` gives the rows of
    /// these ids, in any order.
    pub(super) fn start<Find, Finding>(deadline: Duration, find: Find) -> Self
    where
        Find: Fn(Vec<Uuid>) -> Finding + Send + Sync + 'static,
        Finding: Future<Output = Result<Vec<JobRow>, StoreError>> + Send + 'static,
    {
        let settings = GroupCommitSettings {
            name: "get",
            committers: STATEMENTS_AT_ONCE,
            largest_group: MOST_TOGETHER,
            waiting: MOST_WAITING,
            deadline,
        };
        Self(GroupCommit::start(settings, move |wanted: Vec<Wanted>| {
            let mut ids: Vec<Uuid> = wanted.iter().map(|(_, id)| *id.as_uuid()).collect();
            ids.sort_unstable();
            ids.dedup();
            let finding = find(ids);
            async move { Ok(answers(&wanted, finding.await?)) }
        }))
    }

    /// A tenant's job, none where it is not there or another's.
    pub(super) async fn get(&self, tenant: &Tenant, id: JobId) -> Found {
        self.0.submit((tenant.clone(), id)).await?
    }
}

/// One answer each. A row that cannot be read is the answer of those who asked for it alone.
fn answers(wanted: &[Wanted], rows: Vec<JobRow>) -> Vec<Found> {
    let found: HashMap<Uuid, Result<Job, StoreError>> = rows
        .into_iter()
        .map(|row| (row.id, Job::try_from(row)))
        .collect();
    wanted
        .iter()
        .map(|(tenant, id)| match found.get(id.as_uuid()) {
            Some(Ok(job)) if job.tenant == *tenant => Ok(Some(job.clone())),
            Some(Ok(_)) | None => Ok(None),
            Some(Err(error)) => Err(error.clone()),
        })
        .collect()
}
