//! The product as an operator runs it, in one of its two modes.

use std::{
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::{
    Result,
    client::Client,
    database::Database,
    product::{Environment, Product, Role, binary, migrate},
    servers::{REDIS_VARIABLE, Redis},
};

/// The two ways to run the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One process, an SQLite file, a queue in the process.
    Embedded,
    /// Processes apart, over Postgres and Redis.
    Distributed,
}

/// What is to be started.
#[derive(Debug)]
pub struct Plan {
    mode: Mode,
    environment: Environment,
    config: Option<String>,
    apis: usize,
    workers: usize,
    own_redis: bool,
    password: Option<String>,
}

impl Plan {
    /// One API and one worker (in one process, when embedded), with the default settings.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            environment: Environment::new(),
            config: None,
            apis: 1,
            workers: 1,
            own_redis: false,
            password: None,
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Gives every process a settings file.
    #[must_use]
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// How many processes of each role there are, when distributed.
    #[must_use]
    pub const fn processes(mut self, apis: usize, workers: usize) -> Self {
        self.apis = apis;
        self.workers = workers;
        self
    }

    /// A Redis that no other test uses: for tests that harm it.
    #[must_use]
    pub const fn own_redis(mut self) -> Self {
        self.own_redis = true;
        self
    }

    /// Has the addresses of the servers carry a password, which they do not look at.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Starts it all.
    ///
    /// # Errors
    /// Where a server or a process does not start.
    pub async fn start(mut self) -> Result<Deployment> {
        let folder = tempfile::Builder::new()
            .prefix("coatcheck-test-")
            .tempdir()?;
        if let Some(text) = &self.config {
            let path = folder.path().join("coatcheck.toml");
            std::fs::write(&path, text)?;
            self.environment
                .insert("COATCHECK_CONFIG".to_owned(), text_of(&path)?);
        }
        let mut deployment = Deployment {
            mode: self.mode,
            environment: self.environment,
            apis: Vec::new(),
            workers: Vec::new(),
            redis: None,
            database: None,
            folder,
        };
        match self.mode {
            Mode::Embedded => deployment.prepare_embedded()?,
            Mode::Distributed => {
                let password = self.password.as_deref();
                deployment
                    .prepare_distributed(self.own_redis, password)
                    .await?;
            }
        }
        for _ in 0..self.apis {
            deployment.start_api()?;
        }
        if self.mode == Mode::Distributed {
            for _ in 0..self.workers {
                deployment.start_worker()?;
            }
        }
        Ok(deployment)
    }
}

/// The running product.
#[derive(Debug)]
pub struct Deployment {
    // In the order of their ends: processes, servers, files.
    apis: Vec<Product>,
    workers: Vec<Product>,
    redis: Option<Redis>,
    database: Option<Database>,
    folder: TempDir,
    mode: Mode,
    environment: Environment,
}

impl Deployment {
    /// Its mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// A folder of its own, gone with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The settings that its processes get.
    pub const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The processes with an API; when embedded, the only one.
    pub const fn apis(&mut self) -> &mut Vec<Product> {
        &mut self.apis
    }

    /// The processes that run jobs; when embedded, the only one.
    pub const fn workers(&mut self) -> &mut Vec<Product> {
        match self.mode {
            Mode::Embedded => &mut self.apis,
            Mode::Distributed => &mut self.workers,
        }
    }

    /// The Redis of its own.
    ///
    /// # Errors
    /// Where [`Plan::own_redis`] was not asked for.
    pub fn redis(&mut self) -> Result<&mut Redis> {
        Ok(self.redis.as_mut().ok_or("Redis is shared")?)
    }

    /// A client of its first API.
    ///
    /// # Errors
    /// Where there is none.
    pub fn client(&self) -> Result<Client> {
        Client::new(self.apis.first().ok_or("no API runs")?.address())
    }

    /// Starts another process with an API.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start_api(&mut self) -> Result<()> {
        let role = match self.mode {
            Mode::Embedded => Role::AllInOne,
            Mode::Distributed => Role::Api,
        };
        let api = Product::start(&binary()?, role, &self.environment, self.folder.path())?;
        self.apis.push(api);
        Ok(())
    }

    /// Starts another process that runs jobs.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start_worker(&mut self) -> Result<()> {
        if self.mode == Mode::Embedded {
            return self.start_api();
        }
        let worker = Product::start(
            &binary()?,
            Role::Worker,
            &self.environment,
            self.folder.path(),
        )?;
        self.workers.push(worker);
        Ok(())
    }

    /// Starts another process for each that has ended by itself, as a supervisor does; how many
    /// those were.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn revive(&mut self) -> Result<usize> {
        let (apis, workers) = (ended(&mut self.apis)?, ended(&mut self.workers)?);
        for _ in 0..apis {
            self.start_api()?;
        }
        for _ in 0..workers {
            self.start_worker()?;
        }
        Ok(apis + workers)
    }

    /// Sets an environment variable of the processes that are started from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.insert(name.to_owned(), value.into());
    }

    fn add_password(&mut self, variable: &str, user: &str, password: &str) {
        if let Some(url) = self.environment.get_mut(variable) {
            let bare = url.replacen(&format!("{user}@"), "", 1);
            *url = bare.replacen("://", &format!("://{user}:{password}@"), 1);
        }
    }

    fn prepare_embedded(&mut self) -> Result<()> {
        let data = text_of(&self.folder.path().join("data"))?;
        self.set("COATCHECK_DATA_DIR", data);
        Ok(())
    }

    async fn prepare_distributed(&mut self, own_redis: bool, password: Option<&str>) -> Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Process ids come round again: the folder's name does not while it exists.
        let folder = self.folder.path().file_name().unwrap_or_default();
        let name = format!("{}-{}-{number}", folder.to_string_lossy(), process::id());

        let database = Database::create(&name).await?;
        self.set("DATABASE_URL", database.url());
        self.database = Some(database);
        match std::env::var(REDIS_VARIABLE) {
            Ok(url) if !own_redis => self.set("REDIS_URL", url),
            _ => {
                let redis = Redis::start()?;
                self.set("REDIS_URL", redis.url());
                self.redis = Some(redis);
            }
        }
        self.set("COATCHECK_REDIS__PREFIX", name);
        if let Some(password) = password {
            self.add_password("DATABASE_URL", "coatcheck", password);
            self.add_password("REDIS_URL", "default", password);
        }
        migrate(&binary()?, &self.environment, self.folder.path())
    }
}

/// Takes out those that have ended; how many they were.
fn ended(processes: &mut Vec<Product>) -> Result<usize> {
    let mut count = 0;
    for mut process in std::mem::take(processes) {
        if process.has_ended()? {
            count += 1;
        } else {
            processes.push(process);
        }
    }
    Ok(count)
}

fn text_of(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or("the path is not UTF-8")?.to_owned())
}
