//! The census: how many jobs of whom wait and run in which queue.
//!
//! Counting reads every job that is not finished, so it is done by one process at a time, is never
//! done for more than a twentieth of the time, and everyone reads what it found.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use super::StoreError;
use crate::{
    job::{KindName, QueueName, Tenant},
    timestamp::Timestamp,
};

/// How long one count may take.
pub(super) const LONGEST_COUNT: Duration = Duration::from_secs(30);

/// After a count comes a pause of so many times its duration, between these bounds.
pub(super) const PAUSE: u32 = 20;
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How many groups of jobs (of one tenant, queue and kind) a count keeps: the largest ones.
pub(super) const MOST_GROUPS: i64 = 10_000;

/// What a group is counted as, with `$1` for the most groups; in Postgres and SQLite alike.
macro_rules! count_of_groups {
    ($jobs:literal) => {
        concat!(
            "SELECT tenant, queue, kind, count(*) FILTER (WHERE state = 'scheduled') AS scheduled, \
             count(*) FILTER (WHERE state = 'queued') AS queued, \
             count(*) FILTER (WHERE state = 'running') AS running, \
             min(queued_at) FILTER (WHERE state = 'queued') AS oldest_queued_at FROM ",
            $jobs,
            " WHERE active GROUP BY tenant, queue, kind ORDER BY count(*) DESC LIMIT $1"
        )
    };
}
pub(super) use count_of_groups;

/// Counts the jobs that wait and run.
#[async_trait]
pub trait CensusStore: Send + Sync + 'static {
    /// Counts where it is time for that and no other process is counting; else does nothing.
    async fn take_census(&self) -> Result<(), StoreError>;

    /// What the last count found: of one tenant, else of all.
    async fn census(&self, tenant: Option<&Tenant>) -> Result<Census, StoreError>;
}

/// What a count has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// When it was made; none where there has been none yet.
    pub taken_at: Option<Timestamp>,
    /// Each tenant's jobs of a kind in a queue.
    pub groups: Vec<Group>,
}

/// The jobs of one kind that a tenant has in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whose they are.
    pub tenant: Tenant,
    /// Where they wait.
    pub queue: QueueName,
    /// What they are.
    pub kind: KindName,
    /// How many.
    pub figures: Figures,
}

/// How many jobs there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Their time has not come.
    pub scheduled: u64,
    /// They could start.
    pub queued: u64,
    /// Workers hold them.
    pub running: u64,
    /// Since when the one has waited that has waited longest.
    pub oldest_queued_at: Option<Timestamp>,
}

impl Figures {
    /// Counts others' jobs in.
    pub fn add(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.queued += other.queued;
        self.running += other.running;
        self.oldest_queued_at = match (self.oldest_queued_at, other.oldest_queued_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

impl Census {
    /// The figures of each queue, counting the groups for which `counts` says so.
    pub fn by_queue(&self, counts: impl Fn(&Group) -> bool) -> BTreeMap<QueueName, Figures> {
        let mut queues: BTreeMap<QueueName, Figures> = BTreeMap::new();
        for group in self.groups.iter().filter(|group| counts(group)) {
            queues
                .entry(group.queue.clone())
                .or_default()
                .add(&group.figures);
        }
        queues
    }
}

/// A group as a database gives it.
#[derive(sqlx::FromRow)]
pub(super) struct GroupRow {
    tenant: String,
    queue: String,
    kind: String,
    scheduled: i64,
    queued: i64,
    running: i64,
    oldest_queued_at: Option<Timestamp>,
}

impl TryFrom<GroupRow> for Group {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        use super::rows::parsed;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Self {
            tenant: parsed("tenant", &row.tenant)?,
            queue: parsed("queue", &row.queue)?,
            kind: parsed("kind", &row.kind)?,
            figures: Figures {
                scheduled: count(row.scheduled),
                queued: count(row.queued),
                running: count(row.running),
                oldest_queued_at: row.oldest_queued_at,
            },
        })
    }
}
