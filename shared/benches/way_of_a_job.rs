//! Micro benches of what every job goes through, in the embedded mode: the writes, the queue, the
//! id. `cargo bench -p coatcheck-shared`; the whole way is `cargo xtask bench`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that cannot do its work is to stop, and has no readers of its documentation"
)]

use std::time::Duration;

use coatcheck_shared::{
    clock::SystemClock,
    job::{
        Body, JobId, JobResult, KindName, LeaseId, Metadata, NewJob, Outcome, Priority, QueueName,
        Tenant,
    },
    queue::{End, Hint, Lane, Queue, in_process::InProcessQueue},
    store::{
        Finish, JobStore, ReadStore, RunStore,
        sqlite::{SqliteSettings, SqliteStore},
    },
    timestamp::Timestamp,
};
use divan::{Bencher, counter::ItemsCount};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How many jobs share a write.
const GROUPS: [usize; 4] = [1, 8, 64, 200];

fn main() {
    divan::main();
}

/// A store in a file, with a lease to claim under.
struct Bed {
    runtime: Runtime,
    store: SqliteStore,
    lease: LeaseId,
    _folder: TempDir,
}

impl Bed {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        // Not the usual temporary folder: that may be in memory, where a commit costs nothing.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let settings = SqliteSettings {
            path: folder.path().join("bench.sqlite3"),
            readers: 1,
            deadline: Duration::from_secs(10),
        };
        let lease = LeaseId::generate(&SystemClock);
        let store = runtime.block_on(async {
            let store = SqliteStore::open(&settings).await.unwrap();
            let day = Duration::from_secs(86_400);
            store.open_lease(lease, "bench", day).await.unwrap();
            store
        });
        Self {
            runtime,
            store,
            lease,
            _folder: folder,
        }
    }

    fn jobs(&self, count: usize) -> Vec<NewJob> {
        let now = self.now();
        (0..count).map(|_| new_job(now)).collect()
    }

    fn insert(&self, jobs: Vec<NewJob>) {
        self.runtime.block_on(self.store.insert(jobs)).unwrap();
    }

    fn inserted(&self, count: usize) -> Vec<JobId> {
        let jobs = self.jobs(count);
        let ids = jobs.iter().map(|job| job.id).collect();
        self.insert(jobs);
        ids
    }

    fn claim(&self, ids: &[JobId]) {
        let kinds = [kind()];
        let claim = self.store.claim(self.lease, ids, &kinds, self.now());
        assert_eq!(self.runtime.block_on(claim).unwrap().len(), ids.len());
    }

    fn ends(&self, ids: Vec<JobId>) -> Vec<Finish> {
        let now = self.now();
        ids.into_iter()
            .map(|id| success(id, self.lease, now))
            .collect()
    }

    fn now(&self) -> Timestamp {
        self.runtime.block_on(self.store.now()).unwrap()
    }
}

fn kind() -> KindName {
    "sleep".parse().unwrap()
}

fn new_job(now: Timestamp) -> NewJob {
    NewJob {
        id: JobId::generate(&SystemClock),
        tenant: Tenant::default(),
        kind: kind(),
        queue: QueueName::default(),
        priority: Priority::Normal,
        payload_type: "application/json".to_owned(),
        payload: "{\"ms\": 0}".into(),
        created_at: now,
        run_at: now,
        max_attempts: 3,
        timeout: None,
        start_by: None,
        deadline_at: None,
        retain: Duration::from_secs(604_800),
        metadata: Metadata::new(),
        traceparent: None,
        idempotency: None,
        unique: None,
    }
}

fn success(id: JobId, lease: LeaseId, now: Timestamp) -> Finish {
    Finish {
        id,
        attempt: 1,
        lease,
        started_at: now,
        finished_at: now,
        outcome: Outcome::Succeeded(JobResult {
            content_type: "application/json".to_owned(),
            status: None,
            headers: Vec::new(),
            body: Body::Inline("{\"slept_ms\":0}".into()),
        }),
    }
}

#[divan::bench(args = GROUPS)]
fn insert(bencher: Bencher<'_, '_>, jobs: usize) {
    let bed = Bed::new();
    bencher
        .counter(ItemsCount::new(jobs))
        .with_inputs(|| bed.jobs(jobs))
        .bench_values(|jobs| bed.insert(jobs));
}

#[divan::bench(args = GROUPS)]
fn claim(bencher: Bencher<'_, '_>, jobs: usize) {
    let bed = Bed::new();
    bencher
        .counter(ItemsCount::new(jobs))
        .with_inputs(|| bed.inserted(jobs))
        .bench_values(|ids| bed.claim(&ids));
}

#[divan::bench(args = GROUPS)]
fn finish(bencher: Bencher<'_, '_>, jobs: usize) {
    let bed = Bed::new();
    bencher
        .counter(ItemsCount::new(jobs))
        .with_inputs(|| {
            let ids = bed.inserted(jobs);
            bed.claim(&ids);
            bed.ends(ids)
        })
        .bench_values(|ends| bed.runtime.block_on(bed.store.finish(ends)).unwrap());
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let bed = Bed::new();
    let id = bed.inserted(1)[0];
    let tenant = Tenant::default();
    bencher.bench(|| bed.runtime.block_on(bed.store.get(&tenant, id)).unwrap());
}

#[divan::bench(args = GROUPS)]
fn push_and_pop(bencher: Bencher<'_, '_>, jobs: usize) {
    let runtime = Runtime::new().unwrap();
    let queue = InProcessQueue::default();
    let lane = Lane {
        queue: QueueName::default(),
        priority: Priority::Normal,
    };
    let hint = Hint {
        id: JobId::generate(&SystemClock),
        lane: lane.clone(),
    };
    let hints = vec![hint; jobs];
    bencher.counter(ItemsCount::new(jobs)).bench(|| {
        runtime.block_on(async {
            queue.push(&hints, End::Back).await.unwrap();
            let lanes = std::slice::from_ref(&lane);
            queue.pop(lanes, jobs, Duration::ZERO).await.unwrap()
        })
    });
}

#[divan::bench]
fn generate_id() -> JobId {
    JobId::generate(&SystemClock)
}
