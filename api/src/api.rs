//! What every endpoint works on.

use std::{sync::Arc, time::Duration};

use coatcheck_shared::{
    backend::Backend,
    clock::{Clock, SynchronisedClock},
    job::InvalidName,
    queue::Queue,
    settings::Settings,
    store::Store,
    timestamp::Timestamp,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    body::BodyLimits,
    census::CensusTaker,
    cors::Cors,
    credentials::Credentials,
    depths::Depths,
    intake::{Announcer, Intake},
    jobs::following::MOST_STREAMS,
    kinds::Kinds,
    quotas::Quotas,
    rate_limit::RateLimits,
    retry_after::RunTimes,
    waiters::Waiters,
};

/// The state of the API, one a process.
pub(crate) struct Api {
    /// Where jobs are.
    pub(crate) store: Arc<dyn Store>,
    /// Asked only whether it is there: hints go through the intake.
    pub(crate) queue: Arc<dyn Queue>,
    /// The database's clock.
    pub(crate) clock: SynchronisedClock,
    /// Where submissions become jobs.
    pub(crate) intake: Intake,
    /// What other processes are told.
    pub(crate) announcer: Announcer,
    /// What can be submitted.
    pub(crate) kinds: Kinds,
    /// Who waits for which job.
    pub(crate) waiters: Waiters,
    /// One permit for each answer that follows a job.
    pub(crate) streams: Arc<Semaphore>,
    /// How callers are known.
    pub(crate) credentials: Credentials,
    /// Which pages of other origins may call, where any may.
    pub(crate) cors: Option<Cors>,
    /// The bounds of a body.
    pub(crate) bodies: BodyLimits,
    /// How much waits in which queue.
    pub(crate) depths: Depths,
    /// How much each tenant may have.
    pub(crate) quotas: Quotas,
    /// What waits and runs in which queue, for whoever asks.
    pub(crate) census: CensusTaker,
    /// How much each caller may ask.
    pub(crate) rate_limits: RateLimits,
    /// How long jobs usually run.
    pub(crate) run_times: RunTimes,
    /// What a submission gets that does not say.
    pub(crate) defaults: Defaults,
    /// The longest that `Prefer: wait` waits.
    pub(crate) longest_wait_s: u64,
    /// The longest that one request works through many jobs.
    pub(crate) longest_bulk: Duration,
    /// What `/metrics` shows.
    pub(crate) metrics: PrometheusHandle,
    /// Cancelled when the server goes: whoever waits is answered, connections end.
    pub(crate) draining: CancellationToken,
}

/// What a submission gets that does not say.
pub(crate) struct Defaults {
    /// How many attempts.
    pub(crate) max_attempts: u32,
    /// How long it is kept once it is finished.
    pub(crate) retain: Duration,
    /// How long its idempotency key is remembered.
    pub(crate) idempotency_retain: Duration,
}

impl Api {
    /// The API over a backend; there must be a runtime.
    pub(crate) fn start(
        backend: Backend,
        settings: &Settings,
        announcer: Announcer,
        metrics: PrometheusHandle,
    ) -> Result<Self, InvalidName> {
        Ok(Self {
            intake: Intake::start(&backend, &settings.store, announcer.clone()),
            kinds: Kinds::new(backend.store.clone(), settings)?,
            depths: Depths::new(&backend, settings.limits.queue_depth),
            quotas: Quotas::new(&backend, settings.limits.unfinished_jobs),
            census: CensusTaker::new(backend.store.clone()),
            rate_limits: RateLimits::of(&settings.limits),
            run_times: RunTimes::default(),
            cors: Cors::of(&settings.cors),
            credentials: Credentials::of(settings, backend.store.clone()),
            store: backend.store,
            queue: backend.queue,
            clock: backend.clock,
            announcer,
            waiters: Waiters::default(),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            bodies: BodyLimits::new(
                settings.limits.body_bytes,
                Duration::from_secs(settings.limits.request_s),
            ),
            defaults: Defaults {
                max_attempts: settings.jobs.max_attempts,
                retain: Duration::from_secs(settings.jobs.retain_s),
                idempotency_retain: Duration::from_secs(settings.jobs.idempotency_retain_s),
            },
            longest_wait_s: settings.limits.wait_s,
            longest_bulk: Duration::from_secs(settings.limits.request_s),
            metrics,
            draining: CancellationToken::new(),
        })
    }

    /// The time by the database's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
