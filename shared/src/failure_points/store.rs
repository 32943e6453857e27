//! A store that fails where it is told to.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{Call, FailurePoints};
use crate::{
    api_key::ApiKey,
    job::{
        Attempt, ClaimedJob, Inserted, Job, JobFilter, JobId, KindName, LeaseId, NewJob, QueueName,
        State, Tenant, filter::PageRequest,
    },
    kind::KindDefinition,
    queue::{Hint, Lane},
    store::{
        CancelOutcome, CancelledJobs, Census, CensusStore, DeleteOutcome, Finish, FinishOutcome,
        FirstClaim, FirstClaimed, JobStore, KeeperStore, LogLine, PoolUse, ProgressReport,
        ReadStore, RegistryStore, Rescued, ResultChunk, ResultLookup, RetryOutcome, RunStore,
        Store, StoreError, Suspect, SuspectStore,
    },
    timestamp::Timestamp,
};

/// See [`around_store`](super::around_store).
pub(super) struct FailingStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) points: Arc<FailurePoints>,
}

/// Every verb of these traits, passed on with its two points around it. A verb that is missing
/// here is missing in the implementation, so the list cannot fall behind.
macro_rules! failing {
    ($(impl $trait:ident {
        $(fn $verb:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*
    })*) => {
        pub(super) const CALLS: &[Call] = &[$($(call!("store.", stringify!($verb)),)*)*];

        $(#[async_trait]
        impl $trait for FailingStore {
            $(async fn $verb(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let call = call!("store.", stringify!($verb));
                self.points.around(call, self.store.$verb($($argument),*)).await
            })*
        })*
    };
}

failing! {
    impl ReadStore {
        fn get(tenant: &Tenant, id: JobId) -> Option<Job>;
        fn list(tenant: &Tenant, filter: &JobFilter, page: PageRequest) -> Vec<Job>;
        fn result(tenant: &Tenant, id: JobId) -> ResultLookup;
        fn body_chunk(id: JobId, attempt: u32, sequence: u32, part: Range<usize>) -> Option<Bytes>;
        fn attempts(tenant: &Tenant, id: JobId) -> Option<Vec<Attempt>>;
        fn logs(tenant: &Tenant, id: JobId, offset: u64, limit: u32) -> Option<Vec<LogLine>>;
        fn queues() -> Vec<QueueName>;
        fn api_keys() -> Vec<ApiKey>;
        fn kinds() -> Vec<KindDefinition>;
        fn cancel_requests(lease: LeaseId) -> Vec<JobId>;
        fn queued_at(id: JobId) -> Option<Timestamp>;
        fn lanes() -> Vec<Lane>;
        fn queued_before(lane: &Lane, before: Timestamp, limit: u32) -> Vec<JobId>;
        fn count_waiting(queue: &QueueName, limit: u64) -> u64;
        fn count_unfinished(tenant: &Tenant, limit: u64) -> u64;
        fn has_idempotency_key(tenant: &Tenant, key: &str, now: Timestamp) -> bool;
    }

    impl RegistryStore {
        fn create_queue(queue: &QueueName) -> ();
        fn insert_api_key(key: &ApiKey) -> ();
        fn delete_api_key(id: Uuid) -> bool;
        fn announce_kinds(kinds: &[KindDefinition]) -> ();
    }

    impl JobStore {
        fn now() -> Timestamp;
        fn insert(jobs: Vec<NewJob>) -> Vec<Inserted>;
        fn insert_and_claim(jobs: Vec<NewJob>, claim: FirstClaim) -> FirstClaimed;
        fn insert_all_or_none(jobs: Vec<NewJob>) -> Vec<Inserted>;
        fn set_replayed_status(tenant: &Tenant, key: &str, status: u16) -> ();
        fn cancel(tenant: &Tenant, id: JobId, now: Timestamp) -> Option<CancelOutcome>;
        fn cancel_all(
            tenant: &Tenant, ids: &[JobId], states: &[State], now: Timestamp
        ) -> CancelledJobs;
        fn retry(tenant: &Tenant, id: JobId, now: Timestamp) -> Option<RetryOutcome>;
        fn retry_all(
            tenant: &Tenant, ids: &[JobId], states: &[State], now: Timestamp
        ) -> Vec<Hint>;
        fn delete(tenant: &Tenant, id: JobId) -> Option<DeleteOutcome>;
        fn delete_all(tenant: &Tenant, ids: &[JobId], states: &[State]) -> u64;
    }

    impl RunStore {
        fn open_lease(lease: LeaseId, worker: &str, duration: Duration) -> ();
        fn renew_lease(lease: LeaseId, duration: Duration) -> bool;
        fn close_lease(lease: LeaseId) -> ();
        fn claim(
            lease: LeaseId, ids: &[JobId], kinds: &[KindName], now: Timestamp
        ) -> Vec<ClaimedJob>;
        fn oldest_queued(queues: &[QueueName], kinds: &[KindName], limit: u32) -> Vec<JobId>;
        fn queued_of_other_kinds(ids: &[JobId], kinds: &[KindName]) -> Vec<Hint>;
        fn write_result_chunk(chunk: &ResultChunk) -> bool;
        fn finish(finishes: Vec<Finish>) -> Vec<FinishOutcome>;
        fn record_progress(reports: &[ProgressReport]) -> ();
        fn append_logs(lines: &[LogLine]) -> ();
    }

    impl SuspectStore {
        fn suspects(queues: &[QueueName], kinds: &[KindName], limit: u32) -> Vec<Suspect>;
        fn claim_suspects(
            lease: LeaseId, ids: &[JobId], kinds: &[KindName], now: Timestamp
        ) -> Vec<ClaimedJob>;
    }

    impl KeeperStore {
        fn enqueue_due(now: Timestamp, limit: u32) -> Vec<Hint>;
        fn rescue(now: Timestamp, limit: u32) -> Rescued;
        fn fail_overdue(now: Timestamp, limit: u32) -> Vec<JobId>;
        fn delete_expired(now: Timestamp, limit: u32) -> u64;
        fn delete_expired_keys(now: Timestamp, limit: u32) -> u64;
        fn delete_ended_leases() -> u64;
    }

    impl CensusStore {
        fn take_census() -> ();
        fn census(tenant: Option<&Tenant>) -> Census;
    }
}

impl Store for FailingStore {
    fn connections(&self) -> Vec<PoolUse> {
        self.store.connections()
    }
}
