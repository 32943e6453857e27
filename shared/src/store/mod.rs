//! The store: where jobs are, and the only truth about them.
//!
//! Seven traits: [`ReadStore`] (whatever reads the same in every dialect), [`RegistryStore`] (what
//! processes make known to each other), [`CensusStore`] (the only one that counts) and, by who calls
//! them, [`JobStore`] (the API), [`RunStore`] (a worker's runs), [`SuspectStore`] (its ward),
//! [`KeeperStore`] (the keepers). A verb is a move of the state machine, made in one transaction whose condition names the state and attempt that it expects. Every verb may be
//! asked again where its answer was lost; every implementation passes the suite in `conformance`.

mod census;
mod claimed;
mod columns;
#[cfg(test)]
pub(crate) mod conformance;
mod deadline;
mod error;
mod exchange;
mod group_commit;
mod history;
mod idempotency;
mod lookups;
mod moves;
mod pool;
pub mod postgres;
mod reads;
mod rows;
mod schema;
mod selection;
mod sql;
pub mod sqlite;
mod suspects;
mod uniqueness;

use std::{ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

pub use self::{
    census::{Census, CensusStore, Figures, Group},
    error::StoreError,
    exchange::{
        CancelOutcome, CancelledJobs, DeleteOutcome, Finish, FinishOutcome, FirstClaim,
        FirstClaimed, LogLine, ProgressReport, Rescued, ResultChunk, ResultLookup, RetryOutcome,
    },
    group_commit::{GroupCommit, GroupCommitSettings},
    suspects::Suspect,
};
use crate::{
    api_key::ApiKey,
    job::{
        Attempt, Body, ClaimedJob, Inserted, Job, JobFilter, JobId, KindName, LeaseId, NewJob,
        QueueName, State, Tenant, filter::PageRequest,
    },
    kind::KindDefinition,
    queue::{Hint, Lane},
    timestamp::Timestamp,
};

/// Everything that is asked of a store.
pub trait Store:
    ReadStore + RegistryStore + JobStore + RunStore + SuspectStore + KeeperStore + CensusStore
{
    /// How its connections are used.
    fn connections(&self) -> Vec<PoolUse>;
}

/// How the connections of one pool are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// What the pool is for.
    pub pool: &'static str,
    /// How many serve a statement now.
    pub used: u32,
    /// How many are open and serve none.
    pub idle: u32,
    /// How many there may be.
    pub most: u32,
}

/// What reads the same in every dialect.
#[async_trait]
pub trait ReadStore: Send + Sync + 'static {
    /// A tenant's job, none where it is not there or another's.
    async fn get(&self, tenant: &Tenant, id: JobId) -> Result<Option<Job>, StoreError>;

    /// A page of a tenant's jobs, newest first.
    async fn list(
        &self,
        tenant: &Tenant,
        filter: &JobFilter,
        page: PageRequest,
    ) -> Result<Vec<Job>, StoreError>;

    /// The result of a tenant's job.
    async fn result(&self, tenant: &Tenant, id: JobId) -> Result<ResultLookup, StoreError>;

    /// A part of a chunk of a body that is [stored](Body::Stored), as much of it as there is; none
    /// where it is gone. Each chunk has [`CHUNK_SIZE`] bytes but the last.
    async fn body_chunk(
        &self,
        id: JobId,
        attempt: u32,
        sequence: u32,
        part: Range<usize>,
    ) -> Result<Option<Bytes>, StoreError>;

    /// The attempts of a tenant's job, oldest first; none where there is no such job.
    async fn attempts(
        &self,
        tenant: &Tenant,
        id: JobId,
    ) -> Result<Option<Vec<Attempt>>, StoreError>;

    /// Up to `limit` of the lines that a tenant's job has logged, oldest first, leaving out the
    /// first `offset`; none where there is no such job.
    async fn logs(
        &self,
        tenant: &Tenant,
        id: JobId,
        offset: u64,
        limit: u32,
    ) -> Result<Option<Vec<LogLine>>, StoreError>;

    /// Every queue that was ever used.
    async fn queues(&self) -> Result<Vec<QueueName>, StoreError>;

    /// Every key, oldest first.
    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Every kind that a worker has announced.
    async fn kinds(&self) -> Result<Vec<KindDefinition>, StoreError>;

    /// The running jobs of a lease that have been told to stop.
    async fn cancel_requests(&self, lease: LeaseId) -> Result<Vec<JobId>, StoreError>;

    /// Since when a job has been queued, or was when it last was; none where it is gone.
    async fn queued_at(&self, id: JobId) -> Result<Option<Timestamp>, StoreError>;

    /// The lanes in which jobs are queued.
    async fn lanes(&self) -> Result<Vec<Lane>, StoreError>;

    /// Up to `limit` jobs of a lane that have been queued since before `before` and are no
    /// suspects, oldest first.
    async fn queued_before(
        &self,
        lane: &Lane,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError>;

    /// How many jobs of a queue are queued or scheduled, counting no further than `limit`.
    async fn count_waiting(&self, queue: &QueueName, limit: u64) -> Result<u64, StoreError>;

    /// How many jobs of a tenant are not finished, counted up to `limit`.
    async fn count_unfinished(&self, tenant: &Tenant, limit: u64) -> Result<u64, StoreError>;

    /// Whether a request came before under this idempotency key, and is remembered at this time.
    async fn has_idempotency_key(
        &self,
        tenant: &Tenant,
        key: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
}

/// What a process makes known to all others: queues, kinds, and the keys of callers. [`ReadStore`]
/// reads them.
#[async_trait]
pub trait RegistryStore: Send + Sync + 'static {
    /// Makes a queue known to every worker. Doing it again does nothing.
    async fn create_queue(&self, queue: &QueueName) -> Result<(), StoreError>;

    /// Keeps a new key.
    async fn insert_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// Revokes a key; false where there is none.
    async fn delete_api_key(&self, id: Uuid) -> Result<bool, StoreError>;

    /// Announces kinds, replacing what was known of them.
    async fn announce_kinds(&self, kinds: &[KindDefinition]) -> Result<(), StoreError>;
}

/// What the API asks.
#[async_trait]
pub trait JobStore: Send + Sync + 'static {
    /// The time by the database's clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Stores those jobs that their idempotency and unique keys allow, in one commit; says of
    /// each, in order, what became of it.
    async fn insert(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>, StoreError>;

    /// As [`insert`](Self::insert), and claims in the same commit those of them that `claim` names,
    /// where its lease has not ended. Where the answer is lost, [`RunStore::claim`] asked with
    /// those ids and the time of `claim` gives what was claimed.
    ///
    /// A store may claim none of them. One whose commits can be overtaken by a later question has
    /// to: that question would not find the rows yet, and they would be claimed for nobody.
    async fn insert_and_claim(
        &self,
        jobs: Vec<NewJob>,
        _claim: FirstClaim,
    ) -> Result<FirstClaimed, StoreError> {
        Ok(FirstClaimed {
            inserted: self.insert(jobs).await?,
            claimed: Vec::new(),
        })
    }

    /// As [`insert`](Self::insert), but where one of them is not stored, none is.
    async fn insert_all_or_none(&self, jobs: Vec<NewJob>) -> Result<Vec<Inserted>, StoreError>;

    /// Sets the status that a repeated request under this key is answered with.
    async fn set_replayed_status(
        &self,
        tenant: &Tenant,
        key: &str,
        status: u16,
    ) -> Result<(), StoreError>;

    /// `scheduled | queued → cancelled`, or tells the running attempt to stop; none where there
    /// is no such job.
    async fn cancel(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<CancelOutcome>, StoreError>;

    /// [`cancel`](Self::cancel) for those of a tenant's jobs that are in one of `states` and not
    /// finished.
    async fn cancel_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<CancelledJobs, StoreError>;

    /// `failed | cancelled → queued`; none where there is no such job.
    async fn retry(
        &self,
        tenant: &Tenant,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<RetryOutcome>, StoreError>;

    /// [`retry`](Self::retry) for those of a tenant's jobs that are in one of `states` and failed
    /// or cancelled.
    async fn retry_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
        now: Timestamp,
    ) -> Result<Vec<Hint>, StoreError>;

    /// Forgets a finished job with all that belongs to it; none where there is no such job.
    async fn delete(&self, tenant: &Tenant, id: JobId)
    -> Result<Option<DeleteOutcome>, StoreError>;

    /// [`delete`](Self::delete) for those of a tenant's jobs that are in one of `states` and
    /// finished; says how many.
    async fn delete_all(
        &self,
        tenant: &Tenant,
        ids: &[JobId],
        states: &[State],
    ) -> Result<u64, StoreError>;
}

/// What a worker asks for the jobs it runs.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Opens a worker process's lease for `duration` from now, by the database's clock.
    async fn open_lease(
        &self,
        lease: LeaseId,
        worker: &str,
        duration: Duration,
    ) -> Result<(), StoreError>;

    /// Renews a lease for `duration` from now, by the database's clock. False where it has ended:
    /// an ended lease never comes back.
    async fn renew_lease(&self, lease: LeaseId, duration: Duration) -> Result<bool, StoreError>;

    /// Ends a lease at once.
    async fn close_lease(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// `queued → running` for those of `ids` that are queued, of one of `kinds`, not out of time,
    /// and no suspects, under a lease that has not ended. The rest were stale hints, or another
    /// worker's.
    ///
    /// Asked again with the same `ids` and `now`, its answer having been lost, it gives the same
    /// jobs: no two claims of one lease may therefore have the same `now`.
    async fn claim(
        &self,
        lease: LeaseId,
        ids: &[JobId],
        kinds: &[KindName],
        now: Timestamp,
    ) -> Result<Vec<ClaimedJob>, StoreError>;

    /// Up to `limit` queued jobs of these queues and kinds that are no suspects, by priority, then
    /// oldest first. For claiming without the queue, while it cannot be reached.
    async fn oldest_queued(
        &self,
        queues: &[QueueName],
        kinds: &[KindName],
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Those of `ids` that are queued but of none of `kinds`: another worker's, whose hints have
    /// to go back.
    async fn queued_of_other_kinds(
        &self,
        ids: &[JobId],
        kinds: &[KindName],
    ) -> Result<Vec<Hint>, StoreError>;

    /// Keeps a piece of the result of a running attempt; false where the attempt is no longer the
    /// job's newest. It is seen once the attempt's end names a stored body. The first piece takes
    /// the place of what earlier attempts have left.
    async fn write_result_chunk(&self, chunk: &ResultChunk) -> Result<bool, StoreError>;

    /// Records the ends of attempts, all in one commit; one outcome each, in order.
    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<FinishOutcome>, StoreError>;

    /// Notes the progress of running attempts; stale ones are dropped.
    async fn record_progress(&self, reports: &[ProgressReport]) -> Result<(), StoreError>;

    /// Keeps lines that attempts logged. A line kept before is not kept twice.
    async fn append_logs(&self, lines: &[LogLine]) -> Result<(), StoreError>;
}

/// What a worker asks for suspects: jobs that wait again after a worker has died under them. What
/// hints they have lead nowhere: an ordinary claim leaves them alone.
#[async_trait]
pub trait SuspectStore: Send + Sync + 'static {
    /// Up to `limit` suspects of these queues and kinds, the one that has waited longest first.
    async fn suspects(
        &self,
        queues: &[QueueName],
        kinds: &[KindName],
        limit: u32,
    ) -> Result<Vec<Suspect>, StoreError>;

    /// As [`claim`](RunStore::claim), but of suspects alone.
    async fn claim_suspects(
        &self,
        lease: LeaseId,
        ids: &[JobId],
        kinds: &[KindName],
        now: Timestamp,
    ) -> Result<Vec<ClaimedJob>, StoreError>;
}

/// What the keepers ask. Every verb is safe to call from any number of processes at once.
#[async_trait]
pub trait KeeperStore: Send + Sync + 'static {
    /// `scheduled → queued` for up to `limit` jobs whose time has come.
    async fn enqueue_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Hint>, StoreError>;

    /// `running → queued | failed | cancelled` for up to `limit` jobs whose lease has ended, by
    /// the database's clock.
    async fn rescue(&self, now: Timestamp, limit: u32) -> Result<Rescued, StoreError>;

    /// `scheduled | queued → failed` for up to `limit` jobs that are out of time: not begun by
    /// their `start_by`, or not finished by their deadline.
    async fn fail_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<JobId>, StoreError>;

    /// Forgets up to `limit` finished jobs whose retention has ended, with all that belongs to
    /// them; says how many.
    async fn delete_expired(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Forgets up to `limit` each of the idempotency and unique keys whose time is over; says how
    /// many.
    async fn delete_expired_keys(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Forgets leases that ended long ago and hold no job.
    async fn delete_ended_leases(&self) -> Result<u64, StoreError>;
}

/// Bodies over this many bytes are kept in chunks beside the job's row.
pub const INLINE_LIMIT: usize = 32 * 1024;

/// The size of a chunk in bytes; the last of a body may be smaller.
pub const CHUNK_SIZE: usize = 256 * 1024;

/// Under which attempt the chunks of a payload are kept. Those of results begin with 1.
pub const PAYLOAD_ATTEMPT: u32 = 0;

/// How long after a lease's end the rescuer looks for its jobs once more: a claim that had begun
/// before it may have been committed after the first look.
const SECOND_SWEEP_AFTER: Duration = Duration::from_secs(60);

/// How long an ended lease is kept, so that a job's history can name its worker.
const LEASES_ARE_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// The submissions that have a unique key, in an order that is the same everywhere: two groups
/// that take the same keys then cannot deadlock.
fn in_order_of_unique_keys(jobs: &[NewJob]) -> Vec<&NewJob> {
    let mut keyed: Vec<&NewJob> = jobs.iter().filter(|job| job.unique.is_some()).collect();
    keyed.sort_by_key(|job| {
        let key = job.unique.as_ref().map(|unique| unique.key.as_str());
        (job.tenant.as_str(), key)
    });
    keyed
}

/// The body of a result that stays in its job's row; none where it is in chunks.
pub(crate) fn inline_result(body: &Body) -> Option<&[u8]> {
    body.inline().and_then(inline)
}

/// A body that stays in its job's row; none where it goes into chunks.
pub(crate) fn inline(body: &Bytes) -> Option<&[u8]> {
    (body.len() <= INLINE_LIMIT).then_some(&**body)
}

/// The chunks of a body that is too large for the row; none for one that is not.
pub(crate) fn chunks_of(body: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let end = if body.len() > INLINE_LIMIT {
        body.len()
    } else {
        0
    };
    (0..end)
        .step_by(CHUNK_SIZE)
        .map(move |start| body.slice(start..end.min(start + CHUNK_SIZE)))
}
