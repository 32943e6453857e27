//! What is measured: the product in one mode, with its servers.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

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
    pub(crate) fn start(mode: Mode, binary: &Path, held: usize) -> Result<Self> {
        let parent = folder_on_disk();
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&parent)?;
        let mut environment = Environment::from([
            ("COATCHECK_WORKER__CONCURRENCY".to_owned(), held.to_string()),
            ("COATCHECK_LOG__FILTER".to_owned(), "warn".to_owned()),
            (
                "COATCHECK_DATA_DIR".to_owned(),
                folder.path().to_string_lossy().into_owned(),
            ),
        ]);
        let (mut postgres, mut redis) = (None, None);
        let roles: &[Role] = match mode {
            Mode::Embedded => &[Role::AllInOne],
            Mode::Distributed => {
                let database = postgres.insert(Postgres::start_in(&parent)?);
                let queue = redis.insert(Redis::start()?);
                environment.insert("DATABASE_URL".to_owned(), database.url());
                environment.insert("REDIS_URL".to_owned(), queue.url());
                migrate(binary, &environment, folder.path())?;
                &[Role::Api, Role::Worker]
            }
        };
        let mut processes = Vec::new();
        for role in roles {
            processes.push(Product::start(binary, *role, &environment, folder.path())?);
        }
        Ok(Self {
            processes,
            redis,
            postgres,
            _folder: folder,
        })
    }

    /// The URL of its API.
    pub(crate) fn url(&self) -> Result<String> {
        let api = self.processes.first().ok_or("no API runs")?;
        Ok(format!("http://{}", api.address()))
    }

    /// The processor time that each part has used so far.
    pub(crate) fn processor_times(&self) -> Result<BTreeMap<&'static str, Duration>> {
        let mut times = BTreeMap::new();
        for process in &self.processes {
            let time = processor_time_of_tree(process.process_id())?;
            times.insert(process.role().name(), time);
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
