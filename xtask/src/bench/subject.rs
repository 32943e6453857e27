//! What is measured: the product in one mode, with its servers.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::Path, time::Duration};

use clap::ValueEnum;
use coatcheck_tests::{
    product::{Environment, Product, Role, migrate},
    resources::{peak_memory, processor_time_of_tree},
    servers::{Postgres, Redis, folder_on_disk},
};
use tempfile::TempDir;

use crate::Result;

/// The two ways to run the product.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One process over SQLite.
    Embedded,
    /// An API and a worker process over Postgres and Redis.
    Distributed,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        })
    }
}

/// What is to be started.
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// How many worker processes there are, when distributed.
    pub(crate) workers: usize,
    /// How many jobs a worker holds.
    pub(crate) held: usize,
    /// Environment variables.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Plan {
    /// One process of each role, with the usual settings.
    pub(crate) fn of(mode: Mode) -> Self {
        Self {
            mode,
            workers: 1,
            held: 1_000,
            settings: Vec::new(),
        }
    }
}

/// The running product.
pub(crate) struct Subject {
    // In the order of their ends: processes, servers, files.
    processes: Vec<Product>,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    _folder: TempDir,
}

impl Subject {
    /// Starts it, with nothing in its database.
    pub(crate) fn start(plan: &Plan, binary: &Path) -> Result<Self> {
        let parent = folder_on_disk();
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&parent)?;
        let data = folder.path().to_string_lossy().into_owned();
        let mut environment = Environment::from([
            (
                "COATCHECK_WORKER__CONCURRENCY".to_owned(),
                plan.held.to_string(),
            ),
            ("COATCHECK_LOG__FILTER".to_owned(), "warn".to_owned()),
            ("COATCHECK_DATA_DIR".to_owned(), data),
        ]);
        for (name, value) in &plan.settings {
            environment.insert((*name).to_owned(), value.clone());
        }
        let (mut postgres, mut redis) = (None, None);
        let mut roles = vec![Role::AllInOne];
        if plan.mode == Mode::Distributed {
            let database = postgres.insert(Postgres::start_in(&parent)?);
            let queue = redis.insert(Redis::start()?);
            environment.insert("DATABASE_URL".to_owned(), database.url());
            environment.insert("REDIS_URL".to_owned(), queue.url());
            migrate(binary, &environment, folder.path())?;
            roles = vec![Role::Api];
            roles.resize(1 + plan.workers, Role::Worker);
        }
        let mut processes = Vec::new();
        for role in roles {
            processes.push(Product::start(binary, role, &environment, folder.path())?);
        }
        Ok(Self {
            processes,
            redis,
            postgres,
            _folder: folder,
        })
    }

    /// The address of its API.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let api = self.processes.first().ok_or("no API runs")?;
        Ok(api.address())
    }

    /// The URL of its API.
    pub(crate) fn url(&self) -> Result<String> {
        Ok(format!("http://{}", self.address()?))
    }

    /// The processor time that all of it has used so far.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        Ok(self.processor_times()?.values().sum())
    }

    /// The processor time that each part has used so far.
    pub(crate) fn processor_times(&self) -> Result<BTreeMap<&'static str, Duration>> {
        let mut times: BTreeMap<&'static str, Duration> = BTreeMap::new();
        for process in &self.processes {
            let time = processor_time_of_tree(process.process_id())?;
            *times.entry(process.role().name()).or_default() += time;
        }
        if let Some(postgres) = &self.postgres {
            let time = processor_time_of_tree(postgres.process_id())?;
            times.insert("postgres", time);
        }
        if let Some(redis) = &self.redis {
            times.insert("redis", processor_time_of_tree(redis.process_id())?);
        }
        Ok(times)
    }

    /// The most memory that the process which runs the jobs has had, in bytes.
    pub(crate) fn peak_memory_of_worker(&self) -> Result<u64> {
        peak_memory(self.processes.last().ok_or("no worker runs")?.process_id())
    }
}
