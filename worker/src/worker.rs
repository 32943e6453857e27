//! The worker: what of it runs, in which order it starts, and how it ends.

mod parts;

use std::{sync::Arc, time::Duration};

use coatcheck_shared::{backend::Backend, panics, queue::End, settings::Settings};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::parts::{Parts, Teardown};
use crate::{
    Registry, announcer,
    claimer::{Claimer, Foreign},
    ending::Rules,
    executor::{Executor, Graces},
    finisher::Finisher,
    keepers,
    lanes::Lanes,
    lease::{Lease, LeaseKeeper, LeaseTerms},
    listener,
    monitor::{how_it_ended, monitor},
    pause::Pause,
    payloads::Payloads,
    pump::Pump,
    queue_labels::QueueLabels,
    reporter,
    running::Running,
    status::WorkerStatus,
    ward::Ward,
};

/// How long handlers have to stop once the worker's grace is over.
const SHUT_DOWN_MOMENT: Duration = Duration::from_millis(500);
/// How long the last signals and lines may take once nothing runs any more.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why a worker ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// What runs the jobs has ended by itself.
    #[error("the worker's runtime ended by itself: {0}")]
    RuntimeEnded(String),
    /// Jobs were still not recorded when even the lease's end should have stopped them.
    #[error("{0} jobs could not be brought to an end")]
    NotDrained(usize),
}

fn panicked_task(panicked: &JoinError) -> WorkerError {
    WorkerError::RuntimeEnded(format!("a task of it has ended: {panicked}"))
}

/// Runs jobs.
pub struct Worker {
    backend: Backend,
    registry: Registry,
    settings: Settings,
    name: String,
    running: Arc<Running>,
    draining: CancellationToken,
    status: WorkerStatus,
}

impl Worker {
    /// A worker that runs the jobs that `registry` has handlers for. `name` tells people which
    /// process ran an attempt.
    pub fn new(backend: Backend, registry: Registry, settings: &Settings, name: String) -> Self {
        let running = Arc::new(Running::default());
        let draining = CancellationToken::new();
        let slots = settings.worker.concurrency;
        let status = WorkerStatus::new(running.clone(), draining.clone(), slots);
        status.record_slots();
        Self {
            backend,
            registry,
            settings: settings.clone(),
            name,
            running,
            draining,
            status,
        }
    }

    /// How it is, for whoever asks.
    pub fn status(&self) -> WorkerStatus {
        self.status.clone()
    }

    /// Runs until `shutdown` fires, and what was claimed by then is finished or handed back.
    ///
    /// # Errors
    /// Where it ends otherwise: the process should end too, and be started again.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let mut parts = self.start();
        // Whatever ends this future, also its being dropped, stops the handlers.
        let _stop_handlers = parts.abandoned.clone().drop_guard();
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = &mut parts.monitor => Err(WorkerError::RuntimeEnded(how_it_ended(ended))),
            ended = &mut parts.pump => {
                Err(WorkerError::RuntimeEnded(format!("the pump has ended: {ended:?}")))
            }
            panicked = panics::first_of(&mut parts.tasks) => Err(panicked_task(&panicked)),
            panicked = panics::first_of(&mut parts.last_words) => Err(panicked_task(&panicked)),
            Err(panicked) = &mut parts.lease_keeper => Err(panicked_task(&panicked)),
        };
        self.draining.cancel();
        match ended {
            Ok(()) => self.drain(parts).await,
            Err(error) => {
                parts.abandoned.cancel();
                parts.close_lease().await;
                Err(error)
            }
        }
    }

    /// Lets what runs finish within the grace, hands the rest back, and closes the lease.
    async fn drain(&self, mut parts: Parts) -> Result<(), WorkerError> {
        let held = self.running.count();
        tracing::info!(held, "the worker finishes what it holds");
        let grace = self.settings.worker.grace();
        if timeout(grace, &mut parts.monitor).await.is_err() {
            let held = self.running.count();
            tracing::warn!(held, "the grace is over: what still runs is handed back");
            parts.abandoned.cancel();
            // Recording goes on while the lease holds, and without a database it is lost in time.
            let patience = SHUT_DOWN_MOMENT + self.settings.worker.lease() + LAST_WORDS;
            if timeout(patience, &mut parts.monitor).await.is_err() {
                parts.close_lease().await;
                return Err(WorkerError::NotDrained(self.running.count()));
            }
        }
        let released = parts.finisher.take_released();
        // As jobs that have just been queued: that is what they are now.
        parts.claimer.give_back(&released, End::Back).await;
        parts.close_lease().await;
        parts.last_words().await;
        tracing::info!("the worker has ended");
        Ok(())
    }

    fn start(&self) -> Parts {
        let (settings, slots) = (&self.settings, self.settings.worker.concurrency);
        let (lease_sender, leases) = watch::channel(None);
        let (claimed_sender, claimed) = mpsc::channel(slots);
        let (finished_sender, finished) = mpsc::channel(announcer::WAITING_IDS);
        let (reports_sender, reports) = mpsc::channel(reporter::WAITING_REPORTS);
        let abandoned = CancellationToken::new();
        let lease_finished = CancellationToken::new();
        let lanes = Arc::new(Lanes::new(&settings.worker.queues));
        let finisher = Arc::new(Finisher::start(
            self.backend.store.clone(),
            self.backend.clock.clone(),
            settings,
            finished_sender,
        ));
        let claimer = Arc::new(self.claimer(leases.clone()));
        let executor = Arc::new(self.executor(reports_sender, abandoned.clone()));

        let mut tasks = JoinSet::new();
        self.start_background(&mut tasks, &lanes, leases.clone());
        let mut last_words = JoinSet::new();
        last_words.spawn(announcer::run(self.backend.signals.clone(), finished));
        last_words.spawn(reporter::run(self.backend.store.clone(), reports));
        let keeper = self.lease_keeper(lease_sender, lease_finished.clone());
        let lease_keeper = tokio::spawn(keeper.run());
        let monitor =
            tokio::spawn(monitor(&self.name, claimed, finisher.clone(), executor, slots).run());
        let pump = Pump {
            claimer: claimer.clone(),
            lanes,
            leases,
            slots: Arc::new(Semaphore::new(slots)),
            gate: Arc::default(),
            claimed: claimed_sender,
            draining: self.draining.clone(),
            status: self.status.clone(),
        };
        let period = settings.keepers.sweep();
        let ward = Ward::beside(&pump, self.running.clone(), finisher.clone(), period);
        tasks.spawn(ward.run());
        let pump = tokio::spawn(pump.run());
        let teardown = Teardown(vec![
            pump.abort_handle(),
            monitor.abort_handle(),
            lease_keeper.abort_handle(),
        ]);
        Parts {
            pump,
            monitor,
            lease_keeper,
            lease_finished,
            abandoned,
            finisher,
            claimer,
            last_words,
            tasks,
            _teardown: teardown,
        }
    }

    /// What goes on beside the jobs until the worker has ended, and is then torn down.
    fn start_background(
        &self,
        tasks: &mut JoinSet<()>,
        lanes: &Arc<Lanes>,
        leases: watch::Receiver<Option<Lease>>,
    ) {
        keepers::start(&self.backend, &self.settings, tasks);
        tasks.spawn(announce_kinds(self.backend.clone(), self.registry.clone()));
        tasks.spawn(listener::run(
            self.backend.signals.subscribe(),
            self.running.clone(),
            lanes.clone(),
        ));
        if self.settings.worker.queues.is_empty() {
            tasks.spawn(lanes.clone().follow(self.backend.store.clone()));
        }
        tasks.spawn(follow_lease(leases, self.status.clone()));
    }

    fn lease_keeper(
        &self,
        current: watch::Sender<Option<Lease>>,
        finished: CancellationToken,
    ) -> LeaseKeeper {
        LeaseKeeper {
            store: self.backend.store.clone(),
            clock: self.backend.clock.clone(),
            worker: self.name.clone(),
            terms: self.lease_terms(),
            running: self.running.clone(),
            current,
            finished,
        }
    }

    fn lease_terms(&self) -> LeaseTerms {
        LeaseTerms {
            duration: self.settings.worker.lease(),
        }
    }

    fn claimer(&self, leases: watch::Receiver<Option<Lease>>) -> Claimer {
        Claimer {
            backend: self.backend.clone(),
            kinds: self.registry.kinds(),
            leases,
            running: self.running.clone(),
            draining: self.draining.clone(),
            foreign: Foreign::default(),
            times: Arc::default(),
        }
    }

    fn executor(
        &self,
        reports: mpsc::Sender<crate::context::Report>,
        abandoned: CancellationToken,
    ) -> Executor {
        Executor {
            registry: self.registry.clone(),
            payloads: Payloads::new(self.backend.store.clone()),
            store: self.backend.store.clone(),
            clock: self.backend.clock.clone(),
            reports,
            rules: Rules {
                backoff: self.settings.jobs.backoff,
                result_bytes: self.settings.worker.result_bytes,
            },
            graces: Graces {
                cancel: self.settings.worker.cancel_grace(),
                shut_down: SHUT_DOWN_MOMENT,
                lease_lost: self.lease_terms().margin() / 2,
            },
            queue_labels: QueueLabels::default(),
            draining: self.draining.clone(),
            abandoned,
        }
    }
}

/// Tells the API which kinds there are, until it is known.
async fn announce_kinds(backend: Backend, registry: Registry) {
    let definitions = registry.definitions();
    let mut pause = Pause::between(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match backend.store.announce_kinds(&definitions).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "the kinds could not be announced"),
        }
        sleep(pause.next()).await;
    }
}

async fn follow_lease(mut leases: watch::Receiver<Option<Lease>>, status: WorkerStatus) {
    loop {
        status.set_leased(leases.borrow_and_update().is_some());
        if leases.changed().await.is_err() {
            status.set_leased(false);
            return;
        }
    }
}
