//! All keys, held in memory and read anew every other second.
//!
//! A check costs a hash and a look into a map. A key that is not there makes the keys be read
//! again, so a new one is good at once; but all who ask share one reading, and readings keep a
//! distance, so that a flood of bad keys is a few statements a second.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use coatcheck_shared::{
    api_key::ApiKey,
    store::{Store, StoreError},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How often the keys are read while nobody asks for a strange one.
const REFRESH_EVERY: Duration = Duration::from_secs(2);

/// How soon a reading that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How old a reading may be and still let anyone in: a revoked key is good for no longer.
const LONGEST_USE: Duration = Duration::from_secs(4);

/// How far apart readings begin at least.
const DISTANCE: Duration = Duration::from_millis(100);

/// How long whoever asks waits for a reading.
const LONGEST_WAIT: Duration = Duration::from_millis(1_500);

/// The keys.
pub(crate) struct KeyRing {
    store: Arc<dyn Store>,
    reading: RwLock<Reading>,
    /// When the store was last asked, whatever came of it.
    asked: Mutex<Option<Instant>>,
}

/// What a reading gave.
#[derive(Default)]
struct Reading {
    keys: HashMap<[u8; 32], Arc<ApiKey>>,
    began: Option<Instant>,
}

/// What is known of a key.
pub(crate) enum Held {
    /// It is there; it may have expired.
    Good(Arc<ApiKey>),
    /// It was not there at the last reading.
    Absent,
    /// Nothing: the last reading is too old.
    TooOld,
}

impl KeyRing {
    /// The keys of a store, none of them read yet.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            reading: RwLock::default(),
            asked: Mutex::new(None),
        }
    }

    /// Looks for a key by its hash.
    pub(crate) fn held(&self, hash: &[u8; 32]) -> Held {
        let reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        if reading
            .began
            .is_none_or(|began| began.elapsed() > LONGEST_USE)
        {
            return Held::TooOld;
        }
        match reading.keys.get(hash) {
            Some(key) => Held::Good(key.clone()),
            None => Held::Absent,
        }
    }

    /// Whether the last reading found none.
    pub(crate) fn is_empty(&self) -> bool {
        let reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        reading.keys.is_empty()
    }

    /// Has the keys read by a reading that begins no earlier than now.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        timeout(LONGEST_WAIT, self.read_since(Instant::now()))
            .await
            .unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// Reads the keys again and again.
    pub(crate) async fn keep_fresh(&self) {
        let mut pause = REFRESH_EVERY;
        loop {
            sleep(pause).await;
            pause = match self.refresh().await {
                Ok(()) => REFRESH_EVERY,
                Err(error) => {
                    tracing::debug!(%error, "the keys could not be read");
                    RETRY_AFTER
                }
            };
        }
    }

    async fn read_since(&self, earliest: Instant) -> Result<(), StoreError> {
        let mut asked = self.asked.lock().await;
        if self.began().is_some_and(|began| began >= earliest) {
            return Ok(());
        }
        if let Some(asked) = *asked {
            sleep_until(asked + DISTANCE).await;
        }
        let began = Instant::now();
        *asked = Some(began);
        let keys = self.store.api_keys().await?;
        let reading = Reading {
            keys: keys
                .into_iter()
                .map(|key| (key.secret_hash, Arc::new(key)))
                .collect(),
            began: Some(began),
        };
        *self.reading.write().unwrap_or_else(PoisonError::into_inner) = reading;
        Ok(())
    }

    fn began(&self) -> Option<Instant> {
        let reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        reading.began
    }
}
