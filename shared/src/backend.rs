//! The one place that chooses a store, a queue and a bus of signals from the settings.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "failure-points")]
use crate::failure_points;
use crate::{
    clock::SynchronisedClock,
    hand_off::HandOff,
    queue::{
        Queue, QueueError,
        in_process::InProcessQueue,
        redis::{self, RedisFacts, RedisQueue},
    },
    settings::Settings,
    signal::{Signals, in_process::InProcessSignals, redis::RedisSignals},
    store::{
        JobStore, Store, StoreError,
        postgres::{PostgresFacts, PostgresSettings, PostgresStore},
        sqlite::{self, SqliteFacts, SqliteSettings, SqliteStore},
    },
};

/// How often a process sets its clock to the database's.
const CLOCK_IS_SET_EVERY: Duration = Duration::from_secs(5);

/// How often a process tells its metrics how its connections are used.
const CONNECTIONS_ARE_COUNTED_EVERY: Duration = Duration::from_secs(1);

/// The most reads that go on in an SQLite file at once. They take a core each while they last, and
/// each reader keeps pages in memory: more of them make nothing faster.
const MOST_SQLITE_READERS: u32 = 4;

/// The name of the SQLite file in the data directory.
const SQLITE_FILE: &str = "coatcheck.sqlite3";

/// Why there is nothing to work on.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The directory of the SQLite file cannot be made.
    #[error("the data directory {path:?} cannot be made: {source}")]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A role of its own process needs what all processes share.
    #[error(
        "`coatcheck {role}` shares its jobs with other processes: it needs DATABASE_URL to be \
         postgres://… and REDIS_URL to be redis://…; `coatcheck` alone serves everything in one \
         process without either"
    )]
    NotShared {
        /// The role.
        role: &'static str,
    },
}

/// What every part of the program works on.
#[derive(Clone)]
pub struct Backend {
    /// Where jobs are.
    pub store: Arc<dyn Store>,
    /// Where hints wait.
    pub queue: Arc<dyn Queue>,
    /// What wakes whoever waits.
    pub signals: Arc<dyn Signals>,
    /// The database's clock.
    pub clock: SynchronisedClock,
    /// Where the API and the worker of one process meet; none where others share the jobs.
    pub hand_off: Option<HandOff>,
}

/// Where jobs are kept.
enum Database {
    Postgres(SecretString),
    Sqlite(PathBuf),
}

impl Database {
    fn of(settings: &Settings) -> Self {
        let Some(url) = &settings.database_url else {
            return Self::Sqlite(settings.data_dir.join(SQLITE_FILE));
        };
        match url.expose_secret().strip_prefix("sqlite:") {
            Some(path) => Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into()),
            None => Self::Postgres(url.clone()),
        }
    }
}

impl Backend {
    /// For everything in one process. An SQLite file is made where it is missing and brought up
    /// to this program's schema; a Postgres database must have been.
    ///
    /// # Errors
    /// Where the database cannot be used, or Redis, where one is named.
    pub async fn open(settings: &Settings) -> Result<Self, BackendError> {
        let store = open_store(settings).await?;
        let clock = follow_clock_of(&store).await?;
        watch_connections_of(&store);
        let mut hand_off = None;
        let (queue, signals): (Arc<dyn Queue>, Arc<dyn Signals>) = match &settings.redis_url {
            None => {
                // With Postgres a commit that was given up can still be made after the worker asks.
                let is_alone = matches!(Database::of(settings), Database::Sqlite(_));
                hand_off = is_alone.then(HandOff::default);
                (
                    Arc::new(InProcessQueue::default()),
                    Arc::new(InProcessSignals::default()),
                )
            }
            Some(url) => {
                let url = url.expose_secret();
                (
                    Arc::new(RedisQueue::connect(&settings.redis, url).await?),
                    Arc::new(RedisSignals::connect(&settings.redis, url).await?),
                )
            }
        };
        #[cfg(feature = "failure-points")]
        let (queue, signals) = (
            failure_points::around_queue(queue),
            failure_points::around_signals(signals),
        );
        Ok(Self {
            store,
            queue,
            signals,
            clock,
            hand_off,
        })
    }

    /// For one role of a system of several processes.
    ///
    /// # Errors
    /// As [`Backend::open`], and where the settings do not name what the processes share.
    pub async fn open_shared(
        settings: &Settings,
        role: &'static str,
    ) -> Result<Self, BackendError> {
        let shared =
            matches!(Database::of(settings), Database::Postgres(_)) && settings.redis_url.is_some();
        if !shared {
            return Err(BackendError::NotShared { role });
        }
        Self::open(settings).await
    }
}

/// The store alone, for what needs neither a queue nor signals.
///
/// # Errors
/// Where the database cannot be used.
pub async fn open_store(settings: &Settings) -> Result<Arc<dyn Store>, BackendError> {
    let store: Arc<dyn Store> = match Database::of(settings) {
        Database::Postgres(url) => Arc::new(open_postgres(settings, url).await?),
        Database::Sqlite(path) => Arc::new(open_sqlite(settings, path).await?),
    };
    #[cfg(feature = "failure-points")]
    let store = failure_points::around_store(store);
    Ok(store)
}

/// Brings the database's schema up to this program's.
///
/// # Errors
/// Where the database cannot be used.
pub async fn migrate(settings: &Settings) -> Result<(), BackendError> {
    match Database::of(settings) {
        Database::Postgres(url) => postgres(settings, url)?.migrate().await?,
        Database::Sqlite(path) => drop(open_sqlite(settings, path).await?),
    }
    Ok(())
}

/// What a database says about itself.
pub enum DatabaseFacts {
    /// A Postgres.
    Postgres {
        /// How it is set up.
        facts: Result<PostgresFacts, StoreError>,
        /// Whether its schema is this program's.
        schema: Result<(), StoreError>,
    },
    /// An SQLite file.
    Sqlite {
        /// Where it is.
        path: PathBuf,
        /// How it is; none where it is not there yet.
        facts: Option<Result<SqliteFacts, StoreError>>,
        /// Whether its folder can be written, with a write-ahead log in it.
        log: Result<bool, StoreError>,
    },
}

/// Asks the database about itself, and changes nothing in it.
pub async fn database_facts(settings: &Settings) -> DatabaseFacts {
    match Database::of(settings) {
        Database::Postgres(url) => match postgres(settings, url) {
            Ok(store) => DatabaseFacts::Postgres {
                facts: store.facts().await,
                schema: store.check_schema().await,
            },
            Err(error) => DatabaseFacts::Postgres {
                facts: Err(error.clone()),
                schema: Err(error),
            },
        },
        Database::Sqlite(path) => DatabaseFacts::Sqlite {
            log: can_keep_a_log_beside(&path).await,
            facts: if path.exists() {
                Some(sqlite::facts(&path).await)
            } else {
                None
            },
            path,
        },
    }
}

/// Tries it in a file of another name, and leaves nothing behind.
async fn can_keep_a_log_beside(path: &Path) -> Result<bool, StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = !folder.exists();
    if let Err(error) = tokio::fs::create_dir_all(folder).await {
        return Err(sqlx::Error::Io(error).into());
    }
    let trial = folder.join(format!("check-{}.sqlite3", std::process::id()));
    let tried = sqlite::can_keep_a_log(&trial).await;
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut file = trial.clone().into_os_string();
        file.push(ending);
        drop(tokio::fs::remove_file(file).await);
    }
    if made {
        drop(tokio::fs::remove_dir(folder).await);
    }
    tried
}

/// What Redis says about itself; none where the settings name none.
pub async fn redis_facts(settings: &Settings) -> Option<Result<RedisFacts, QueueError>> {
    let url = settings.redis_url.as_ref()?;
    Some(redis::facts(&settings.redis, url.expose_secret()).await)
}

fn postgres(settings: &Settings, url: SecretString) -> Result<PostgresStore, StoreError> {
    PostgresStore::connect(&PostgresSettings {
        url,
        connections: settings.store.connections,
        deadline: settings.store.deadline(),
    })
}

async fn open_postgres(
    settings: &Settings,
    url: SecretString,
) -> Result<PostgresStore, StoreError> {
    let store = postgres(settings, url)?;
    store.check_schema().await?;
    Ok(store)
}

async fn open_sqlite(settings: &Settings, path: PathBuf) -> Result<SqliteStore, BackendError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    tokio::fs::create_dir_all(directory)
        .await
        .map_err(|source| BackendError::DataDirectory {
            path: directory.to_owned(),
            source,
        })?;
    let settings = SqliteSettings {
        path,
        readers: settings.store.connections.min(MOST_SQLITE_READERS),
        deadline: settings.store.deadline(),
    };
    Ok(SqliteStore::open(&settings).await?)
}

/// Keeps the metrics of the store's connections true while the store lives.
fn watch_connections_of(store: &Arc<dyn Store>) {
    let watched = Arc::downgrade(store);
    tokio::spawn(async move {
        while let Some(store) = watched.upgrade() {
            for pool in store.connections() {
                let connections = |state: &'static str| {
                    metrics::gauge!("coatcheck_store_connections",
                        "pool" => pool.pool, "state" => state)
                };
                connections("used").set(pool.used);
                connections("idle").set(pool.idle);
                metrics::gauge!("coatcheck_store_connections_max", "pool" => pool.pool)
                    .set(pool.most);
            }
            drop(store);
            tokio::time::sleep(CONNECTIONS_ARE_COUNTED_EVERY).await;
        }
    });
}

/// A clock that is set to the store's now, and again while the store lives.
async fn follow_clock_of(store: &Arc<dyn Store>) -> Result<SynchronisedClock, StoreError> {
    let clock = SynchronisedClock::starting_at(store.now().await?);
    let (followed, following) = (Arc::downgrade(store), clock.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(CLOCK_IS_SET_EVERY).await;
            let Some(store) = followed.upgrade() else {
                return;
            };
            let asked = Instant::now();
            // With the database away the clock runs on by itself.
            if let Ok(reading) = JobStore::now(&*store).await {
                following.synchronise(asked, reading);
            }
        }
    });
    Ok(clock)
}
