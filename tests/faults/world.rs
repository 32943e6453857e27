//! The product under test: Postgres, Redis, two APIs, three workers, and the network between them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use coatcheck_tests::{
    Result,
    port::free_port,
    product::{Environment, Product, Role, migrate},
    servers::{Postgres, Redis, folder_on_disk},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::{
    machine::SmallDisk,
    proxy::{Line, Proxy},
};

/// How long a lease lasts, in seconds: the shortest for which the guarantees are stated.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// How long a process may take over SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A process of the product, its stretches of network, and what it is started with.
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) address: SocketAddr,
    pub(crate) database: Proxy,
    pub(crate) queue: Proxy,
    environment: Environment,
    product: Option<Product>,
}

/// What a world is made with.
#[derive(Default)]
pub(crate) struct Plan {
    /// Settings of the product beside those of every world.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Where the database lies, else on the disk.
    pub(crate) disk: Option<SmallDisk>,
    /// How many APIs and workers; two and three where it is not said.
    pub(crate) processes: Option<(usize, usize)>,
}

/// All of it. Gone when dropped.
pub(crate) struct World {
    // In the order of their ends: processes, servers, files.
    pub(crate) apis: Vec<Member>,
    pub(crate) workers: Vec<Member>,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) disk: Option<SmallDisk>,
    binary: PathBuf,
    folder: TempDir,
}

impl World {
    /// Starts it.
    pub(crate) async fn start(binary: &Path, plan: Plan) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("coatcheck-faults-")
            .tempdir()?;
        let parent = match &plan.disk {
            Some(disk) => disk.path().to_owned(),
            None => folder_on_disk(),
        };
        // Few enough connections to eat, and a log small enough for a small disk.
        let settings = [
            "max_connections=200",
            "min_wal_size=32MB",
            "max_wal_size=64MB",
        ];
        let (postgres, redis) = block_in_place(|| -> Result<_> {
            Ok((Postgres::start_with(&parent, &settings)?, Redis::start()?))
        })?;
        fs::write(
            folder.path().join("coatcheck.toml"),
            commands(folder.path()),
        )?;
        let mut world = Self {
            apis: Vec::new(),
            workers: Vec::new(),
            redis,
            postgres,
            disk: plan.disk,
            binary: binary.to_owned(),
            folder,
        };
        let mut environment = world.environment();
        environment.insert("DATABASE_URL".to_owned(), world.postgres.url());
        environment.insert("REDIS_URL".to_owned(), world.redis.url());
        block_in_place(|| migrate(binary, &environment, world.folder.path()))?;
        let (apis, workers) = plan.processes.unwrap_or((2, 3));
        for role in
            std::iter::repeat_n(Role::Api, apis).chain(std::iter::repeat_n(Role::Worker, workers))
        {
            let mut member = world.member(role).await?;
            for (name, value) in &plan.settings {
                member.environment.insert((*name).to_owned(), value.clone());
            }
            block_in_place(|| member.start(&world.binary, world.folder.path(), &[]))?;
            match role {
                Role::Worker => world.workers.push(member),
                _ => world.apis.push(member),
            }
        }
        Ok(world)
    }

    async fn member(&self, role: Role) -> Result<Member> {
        let database = Proxy::start(address_in(&self.postgres.url())?).await?;
        let queue = Proxy::start(address_in(&self.redis.url())?).await?;
        let mut environment = self.environment();
        environment.insert(
            "DATABASE_URL".to_owned(),
            format!("postgres://coatcheck@{}/postgres", database.address()),
        );
        environment.insert(
            "REDIS_URL".to_owned(),
            format!("redis://{}", queue.address()),
        );
        Ok(Member {
            role,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
            database,
            queue,
            environment,
            product: None,
        })
    }

    fn environment(&self) -> Environment {
        let config = self.folder.path().join("coatcheck.toml");
        [
            ("COATCHECK_CONFIG", config.to_string_lossy().into_owned()),
            ("COATCHECK_WORKER__LEASE_S", LEASE.as_secs().to_string()),
            ("COATCHECK_WORKER__GRACE_S", "3".to_owned()),
            ("COATCHECK_WORKER__CANCEL_GRACE_S", "2".to_owned()),
            ("COATCHECK_WORKER__CONCURRENCY", "24".to_owned()),
            ("COATCHECK_JOBS__BACKOFF__BASE_S", "0.2".to_owned()),
            ("COATCHECK_JOBS__BACKOFF__CAP_S", "0.4".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Where programs note that they have run.
    pub(crate) fn executions(&self) -> PathBuf {
        executions_in(self.folder.path())
    }

    /// Every process.
    pub(crate) fn members(&mut self) -> impl Iterator<Item = &mut Member> {
        self.apis.iter_mut().chain(&mut self.workers)
    }

    /// Where the processes are started, and from what.
    pub(crate) fn start_place(&self) -> (PathBuf, PathBuf) {
        (self.binary.clone(), self.folder.path().to_owned())
    }

    /// Opens every line, and starts what does not run.
    pub(crate) fn heal(&mut self) -> Result<()> {
        if !self.postgres.is_running()? {
            block_in_place(|| self.postgres.restart())?;
        }
        let (binary, folder) = self.start_place();
        for member in self.members() {
            member.database.set(Line::Open);
            member.queue.set(Line::Open);
            if !member.is_running()? {
                block_in_place(|| member.start(&binary, &folder, &[]))?;
            }
        }
        Ok(())
    }

    /// The processes that have ended without having been told to.
    pub(crate) fn died(&mut self) -> Result<Vec<String>> {
        let mut died = Vec::new();
        for member in self.members() {
            if member.product.is_some() && !member.is_running()? {
                died.push(format!("{} at {}", member.role.name(), member.address));
            }
        }
        Ok(died)
    }

    /// The sum of a metric over the workers that answer.
    pub(crate) fn workers_metric(&self, name: &str) -> f64 {
        block_in_place(|| {
            self.workers
                .iter()
                .filter_map(|member| member.product.as_ref()?.metric(name).ok()?)
                .sum()
        })
    }

    /// Writes something beside the processes' logs.
    pub(crate) fn keep_note(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join(name), text)?)
    }

    /// Keeps the files, so that a person can look at them.
    pub(crate) fn keep_files(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

impl Member {
    /// Starts it, with these settings on top of its own.
    pub(crate) fn start(
        &mut self,
        binary: &Path,
        folder: &Path,
        settings: &[(&str, &str)],
    ) -> Result<()> {
        let mut environment = self.environment.clone();
        for (name, value) in settings {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        // The old one is gone before the new one wants its address.
        self.product = None;
        self.product = Some(Product::start_at(
            self.address,
            binary,
            self.role,
            &environment,
            folder,
        )?);
        Ok(())
    }

    /// Whether it has been started and has not ended.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        match &mut self.product {
            Some(product) => Ok(!product.has_ended()?),
            None => Ok(false),
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        match self.product.take() {
            Some(product) => product.kill(),
            None => Ok(()),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.product
            .as_mut()
            .ok_or("it does not run")?
            .signal(signal)
    }

    /// SIGTERM, and waits for an end in good order.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        let mut product = self.product.take().ok_or("it does not run")?;
        product.terminate()?;
        let status = product.wait(END_LIMIT)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{} ended with {status} after SIGTERM", self.role.name()).into())
    }

    /// The process, while it runs.
    pub(crate) fn product(&self) -> Option<&Product> {
        self.product.as_ref()
    }
}

fn executions_in(folder: &Path) -> PathBuf {
    folder.join("executions")
}

/// The programs that jobs run. `mark` notes that it has begun, sleeps, fails as often as it is
/// told to, notes that it has ended, and names itself in its result.
fn commands(folder: &Path) -> String {
    let file = executions_in(folder);
    let file = file.display();
    format!(
        r#"
[commands.mark]
program = "/bin/sh"
content_type = "text/plain"
args = ["-c", '''
read -r seconds fails
read -r now rest < /proc/uptime
echo "begin $COATCHECK_JOB_ID $COATCHECK_ATTEMPT $$ $now" >> {file}
test "$seconds" = 0 || sleep "$seconds"
test "$COATCHECK_ATTEMPT" -gt "$fails" || exit 1
read -r now rest < /proc/uptime
echo "end $COATCHECK_JOB_ID $COATCHECK_ATTEMPT $$ $now" >> {file}
echo "ran $COATCHECK_ATTEMPT $$"
''']
[commands.murder]
program = "/bin/sh"
args = ["-c", 'kill -9 $PPID']
[commands.chatter]
program = "/usr/bin/yes"
output_bytes = 1048576
[commands.glutton]
program = "/bin/sh"
args = ["-c", 'ulimit -v 200000; exec dd if=/dev/zero of=/dev/null bs=1G count=1']
[commands.forever]
program = "/bin/sleep"
args = ["100000"]
"#
    )
}

/// The host and the port in a URL.
fn address_in(url: &str) -> Result<SocketAddr> {
    let host = url.rsplit_once('@').map_or_else(
        || url.split_once("://").map_or(url, |(_, rest)| rest),
        |(_, rest)| rest,
    );
    let host = host.split('/').next().unwrap_or(host);
    Ok(host.parse()?)
}
