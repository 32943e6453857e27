//! A private Postgres.

use std::{
    fs::{self, File},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::User};
use tempfile::TempDir;

use super::with_retries;
use crate::{
    Result,
    port::free_port,
    process::{Process, end_of, find_program},
};

const START_LIMIT: Duration = Duration::from_secs(30);
const INSTALL: &str = "install Postgres (Debian: apt-get install postgresql), or name a server \
                       in TEST_DATABASE_URL";

/// A Postgres server of one's own, as durable as one in production. Gone when dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    account: Account,
    settings: Vec<String>,
    // After the process: the folder goes once nobody writes to it.
    folder: TempDir,
}

impl Postgres {
    /// Makes a cluster in the system's temporary folder and starts it.
    ///
    /// # Errors
    /// Where Postgres is not installed or does not start.
    pub fn start() -> Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// Makes a cluster in a folder of `parent` and starts it.
    ///
    /// # Errors
    /// Where Postgres is not installed or does not start, or its account may not enter `parent`.
    pub fn start_in(parent: &Path) -> Result<Self> {
        Self::start_with(parent, &[])
    }

    /// The same, with settings of its own: `max_connections=20`.
    ///
    /// # Errors
    /// As [`Postgres::start_in`].
    pub fn start_with(parent: &Path, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("coatcheck-postgres-")
            .tempdir_in(parent)?;
        let account = Account::for_postgres(folder.path())?;
        initialise(&account, &data_in(folder.path()))?;
        let settings: Vec<String> = settings.iter().map(|&setting| setting.into()).collect();
        let (process, port) = with_retries(|| {
            let port = free_port()?;
            Ok((run(&account, folder.path(), port, &settings)?, port))
        })?;
        Ok(Self {
            process,
            port,
            account,
            settings,
            folder,
        })
    }

    /// The URL of its superuser.
    pub fn url(&self) -> String {
        format!("postgres://coatcheck@127.0.0.1:{}/postgres", self.port)
    }

    /// The id of its first process, the parent of all others.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs: a full disk can end it.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.exit_status()?.is_none())
    }

    /// Its `immediate` stop, as after a power cut: what it has committed it finds again in its log.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop_at_once(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGQUIT)?;
        self.process.wait(START_LIMIT).map(drop)
    }

    /// Starts it again, on its port and its data.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.process = run(&self.account, self.folder.path(), self.port, &self.settings)?;
        Ok(())
    }
}

/// Whether Postgres can be started on this machine.
pub fn is_installed() -> bool {
    program("initdb").is_ok() && program("postgres").is_ok()
}

fn initialise(account: &Account, data: &Path) -> Result<()> {
    let mut command = account.command(&program("initdb")?);
    command
        .args(["--username=coatcheck", "--auth=trust", "--encoding=UTF8"])
        // Nothing of value is in it yet; what the tests write is synced.
        .args(["--locale=C", "--no-sync", "--no-instructions", "--pgdata"])
        .arg(data);
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("initdb: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn data_in(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn run(account: &Account, folder: &Path, port: u16, settings: &[String]) -> Result<Process> {
    let (log, data) = (folder.join("log"), data_in(folder));
    let mut command = account.command(&program("postgres")?);
    command
        .arg("-D")
        .arg(&data)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", ""])
        .args(["-c", "max_connections=300", "-c", "shared_buffers=256MB"])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stdout(File::create(&log)?)
        .stderr(File::options().append(true).open(&log)?);
    // Immediate: what a dropped server holds is of no use to anybody.
    let mut process = Process::start(&mut command, Signal::SIGQUIT)?;
    process
        .wait_until_ready(&log, START_LIMIT, || says_ready(&data))
        .map_err(|error| format!("Postgres {error}"))?;
    if end_of(&log).contains("Address already in use") {
        return Err("another process took Postgres's port".into());
    }
    Ok(process)
}

/// The eighth line of its pid file is where Postgres says how far it is.
fn says_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid"))
        .ok()
        .and_then(|text| Some(text.lines().nth(7)?.trim() == "ready"))
        .unwrap_or(false)
}

/// As whom Postgres runs: it refuses to be root.
#[derive(Debug)]
struct Account(Option<User>);

impl Account {
    /// The account to run under, made the owner of the folder.
    fn for_postgres(folder: &Path) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self(None));
        }
        let user = match User::from_name("postgres")? {
            Some(user) => user,
            None => User::from_name("nobody")?
                .ok_or("Postgres does not run as root, and there is no other account")?,
        };
        chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        Ok(Self(Some(user)))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir("/");
        command
    }
}

/// Debian keeps the server's programs off the path, in a folder for each version.
fn program(name: &str) -> Result<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| {
            versions
                .flatten()
                .map(|version| version.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    folders.sort();
    folders.reverse();
    find_program(name, &folders, INSTALL)
}
