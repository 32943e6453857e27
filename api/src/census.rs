//! What waits and runs in which queue, for whoever asks. The store's census costs the database
//! something, so it is taken only when someone asks, and by nobody twice at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use coatcheck_shared::{
    job::Tenant,
    store::{Census, Store, StoreError},
};
use tokio::{sync::Mutex, time::timeout};

/// How long whoever asks waits for a new count; it goes on, and the next one finds it.
const PATIENCE: Duration = Duration::from_secs(1);

/// After a count that failed comes a pause of so many times its duration, between these bounds: one
/// that takes too long is not to be made all the time.
const PAUSE: u32 = 20;
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Asks for the census.
pub(crate) struct CensusTaker {
    store: Arc<dyn Store>,
    /// Held while a count is under way; not to be made again before then.
    not_before: Arc<Mutex<Option<Instant>>>,
}

impl CensusTaker {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            not_before: Arc::default(),
        }
    }

    /// The census, counted just now where it is time for that: of one tenant, else of all.
    pub(crate) async fn latest(&self, tenant: Option<&Tenant>) -> Result<Census, StoreError> {
        if let Ok(mut not_before) = self.not_before.clone().try_lock_owned()
            && not_before.is_none_or(|instant| Instant::now() >= instant)
        {
            let store = self.store.clone();
            let counting = tokio::spawn(async move {
                let began = Instant::now();
                let counted = store.take_census().await;
                *not_before = counted.as_ref().err().map(|error| {
                    tracing::warn!(%error, "the jobs in the queues could not be counted");
                    let pause = began.elapsed() * PAUSE;
                    Instant::now() + pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
                });
            });
            // Late or lost: the last count has to do.
            let _ = timeout(PATIENCE, counting).await;
        }
        self.store.census(tenant).await
    }
}
