//! Where submissions become jobs: stored in groups, and announced once they are.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use coatcheck_shared::{
    backend::Backend,
    clock::Clock,
    job::{Inserted, JobId, KindName, NewJob, QueueName},
    queue::{End, Hint, Lane, Queue},
    settings::StoreSettings,
    signal::{Signal, Signals},
    store::{FirstClaimed, GroupCommit, GroupCommitSettings, Store, StoreError},
};
use metrics::counter;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::timeout,
};

/// How many submissions may wait for a group.
const MOST_WAITING: usize = 20_000;

/// How many announcements may wait for the queue. What does not fit is dropped: the dispatcher
/// finds it.
const MOST_ANNOUNCEMENTS: usize = 100_000;

/// How many hints are pushed at once.
const LARGEST_PUSH: usize = 1_000;

/// How many names of queues are remembered as made.
const MOST_QUEUE_NAMES: usize = 10_000;

/// What the other processes are to be told.
enum Announcement {
    Hint(Hint),
    Signal(Signal),
}

/// Tells the other processes, after the fact and without anyone waiting for it.
#[derive(Clone)]
pub(crate) struct Announcer(Sender<Announcement>);

impl Announcer {
    /// Tells every process something.
    pub(crate) fn signal(&self, signal: Signal) {
        self.send(Announcement::Signal(signal));
    }

    /// Tells the workers that a job is ready, where it is.
    pub(crate) fn ready(&self, hint: Option<Hint>) {
        if let Some(hint) = hint {
            self.send(Announcement::Hint(hint));
        }
    }

    /// Tells whoever waits that these jobs have come to their end.
    pub(crate) fn finished(&self, jobs: Vec<JobId>) {
        if !jobs.is_empty() {
            self.signal(Signal::Finished(jobs));
        }
    }

    fn send(&self, announcement: Announcement) {
        if self.0.try_send(announcement).is_err() {
            counter!("coatcheck_announcements_dropped_total").increment(1);
        }
    }
}

/// What the [`Announcer`]s have handed in.
pub(crate) struct Announcements(Receiver<Announcement>);

/// A way to announce, and what is to be done about it.
pub(crate) fn announcements() -> (Announcer, Announcements) {
    let (sender, receiver) = mpsc::channel(MOST_ANNOUNCEMENTS);
    (Announcer(sender), Announcements(receiver))
}

impl Announcements {
    /// Passes announcements on until no announcer is left.
    pub(crate) async fn pass_on(mut self, queue: Arc<dyn Queue>, signals: Arc<dyn Signals>) {
        let mut batch = Vec::with_capacity(LARGEST_PUSH);
        while self.0.recv_many(&mut batch, LARGEST_PUSH).await > 0 {
            let mut hints = Vec::with_capacity(batch.len());
            for announcement in batch.drain(..) {
                match announcement {
                    Announcement::Hint(hint) => hints.push(hint),
                    Announcement::Signal(signal) => publish(&*signals, signal).await,
                }
            }
            push(&*queue, &hints).await;
        }
    }
}

async fn publish(signals: &dyn Signals, signal: Signal) {
    if let Err(error) = signals.publish(signal).await {
        counter!("coatcheck_announcements_dropped_total").increment(1);
        tracing::debug!(%error, "a signal was not published");
    }
}

async fn push(queue: &dyn Queue, hints: &[Hint]) {
    if hints.is_empty() {
        return;
    }
    if let Err(error) = queue.push(hints, End::Back).await {
        counter!("coatcheck_announcements_dropped_total").increment(hints.len() as u64);
        tracing::debug!(%error, hints = hints.len(), "hints were not pushed");
    }
}

/// Stores submissions.
pub(crate) struct Intake {
    store: Arc<dyn Store>,
    group: GroupCommit<NewJob, Inserted>,
    announcer: Announcer,
    known_queues: RwLock<HashSet<QueueName>>,
    deadline: Duration,
}

impl Intake {
    /// Starts the committers; there must be a runtime.
    pub(crate) fn start(backend: &Backend, settings: &StoreSettings, announcer: Announcer) -> Self {
        let group = GroupCommit::start(
            GroupCommitSettings {
                name: "insert",
                committers: settings.committers,
                largest_group: settings.largest_group,
                waiting: MOST_WAITING,
                deadline: settings.deadline(),
            },
            {
                let (backend, announcer) = (backend.clone(), announcer.clone());
                move |jobs| insert(backend.clone(), announcer.clone(), jobs)
            },
        );
        Self {
            store: backend.store.clone(),
            group,
            announcer,
            known_queues: RwLock::default(),
            deadline: settings.deadline(),
        }
    }

    /// Stores a job, where its keys allow it; it is on disk when this returns.
    pub(crate) async fn accept(&self, job: NewJob) -> Result<Inserted, StoreError> {
        // Both steps together have to keep the one deadline.
        timeout(self.deadline, async {
            self.make_queue(&job.queue).await?;
            self.group.submit(job).await
        })
        .await
        .unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Stores these jobs, or none of them where the keys of one do not allow it.
    pub(crate) async fn accept_all_or_none(
        &self,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Inserted>, StoreError> {
        let ready: Vec<Option<Hint>> = jobs.iter().map(hint).collect();
        let kinds = kinds_of(&jobs);
        let outcomes = timeout(self.deadline, async {
            self.make_queues(&jobs).await?;
            self.store.insert_all_or_none(jobs).await
        })
        .await
        .unwrap_or_else(|_| Err(StoreError::timed_out()))?;
        if outcomes.iter().all(Inserted::is_stored) {
            count_stored(&outcomes, kinds);
            announce(&self.announcer, &outcomes, ready);
        }
        Ok(outcomes)
    }

    /// Makes the queues of many jobs known, each once.
    pub(crate) async fn make_queues(
        &self,
        jobs: impl IntoIterator<Item = &NewJob>,
    ) -> Result<(), StoreError> {
        let queues: HashSet<&QueueName> = jobs.into_iter().map(|job| &job.queue).collect();
        timeout(self.deadline, async {
            for queue in queues {
                self.make_queue(queue).await?;
            }
            Ok(())
        })
        .await
        .unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Makes a queue known where this process has not done so before.
    async fn make_queue(&self, queue: &QueueName) -> Result<(), StoreError> {
        let is_known = self
            .known_queues
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(queue);
        if is_known {
            return Ok(());
        }
        self.store.create_queue(queue).await?;
        self.announcer.signal(Signal::QueueCreated(queue.clone()));
        let mut known = self
            .known_queues
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_QUEUE_NAMES {
            known.clear();
        }
        known.insert(queue.clone());
        Ok(())
    }
}

async fn insert(
    backend: Backend,
    announcer: Announcer,
    jobs: Vec<NewJob>,
) -> Result<Vec<Inserted>, StoreError> {
    let mut ready: Vec<Option<Hint>> = jobs.iter().map(hint).collect();
    let kinds = kinds_of(&jobs);
    let hand_off = backend.hand_off.as_ref();
    let outcomes = match hand_off.and_then(|worker| worker.take(&jobs, backend.clock.now())) {
        None => backend.store.insert(jobs).await?,
        Some(handed) => {
            let stored = backend.store.insert_and_claim(jobs, handed.claim.clone());
            let FirstClaimed { inserted, claimed } = stored.await?;
            let taken: HashSet<JobId> = claimed.iter().map(|job| job.id).collect();
            handed.settle(claimed);
            for hint in &mut ready {
                hint.take_if(|hint| taken.contains(&hint.id));
            }
            inserted
        }
    };
    count_stored(&outcomes, kinds);
    announce(&announcer, &outcomes, ready);
    Ok(outcomes)
}

fn kinds_of(jobs: &[NewJob]) -> Vec<KindName> {
    jobs.iter().map(|job| job.kind.clone()).collect()
}

/// Kinds are known ones, so their number is bounded.
fn count_stored(outcomes: &[Inserted], kinds: Vec<KindName>) {
    let mut counts: HashMap<KindName, u64> = HashMap::new();
    for (outcome, kind) in outcomes.iter().zip(kinds) {
        if outcome.is_stored() {
            *counts.entry(kind).or_default() += 1;
        }
    }
    for (kind, count) in counts {
        counter!("coatcheck_jobs_submitted_total", "kind" => kind.to_string()).increment(count);
    }
}

fn announce(announcer: &Announcer, outcomes: &[Inserted], ready: Vec<Option<Hint>>) {
    for (outcome, hint) in outcomes.iter().zip(ready) {
        if let Inserted::Stored { replaced } = outcome {
            announcer.finished(replaced.iter().copied().collect());
            announcer.ready(hint);
        }
    }
}

/// A scheduled job is announced by the dispatcher, when its time has come.
fn hint(job: &NewJob) -> Option<Hint> {
    (job.run_at <= job.created_at).then(|| Hint {
        id: job.id,
        lane: Lane {
            queue: job.queue.clone(),
            priority: job.priority,
        },
    })
}
