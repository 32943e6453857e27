//! Processes of the product.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Result,
    http_get::http_get,
    port::free_port,
    process::{Process, end_of},
};

/// Where `cargo xtask` says which binary is to be tested. Not `COATCHECK_…`: that would be a setting.
pub const BINARY_VARIABLE: &str = "TEST_COATCHECK_BIN";

const START_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What a long-lived process of the product does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `coatcheck`: everything in one process.
    AllInOne,
    /// `coatcheck api`.
    Api,
    /// `coatcheck worker`.
    Worker,
}

impl Role {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::AllInOne => &[],
            Self::Api => &["api"],
            Self::Worker => &["worker"],
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllInOne => "all-in-one",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    /// The setting of the address where it answers `/readyz`.
    const fn listen_variable(self) -> &'static str {
        match self {
            Self::AllInOne | Self::Api => "COATCHECK_LISTEN",
            Self::Worker => "COATCHECK_WORKER__LISTEN",
        }
    }
}

/// The settings of a process: its environment beside that of the test.
pub type Environment = BTreeMap<String, String>;

/// A running process of the product. Ended when dropped; while a test panics, its log is shown.
#[derive(Debug)]
pub struct Product {
    process: Process,
    role: Role,
    address: SocketAddr,
    log: PathBuf,
}

impl Product {
    /// Starts a process and waits until it is ready.
    ///
    /// # Errors
    /// Where it ends or is not ready in time; with the end of its log.
    pub fn start(
        binary: &Path,
        role: Role,
        environment: &Environment,
        folder: &Path,
    ) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Self::start_at(address, binary, role, environment, folder)
    }

    /// The same at an address, as a process that follows another there.
    ///
    /// # Errors
    /// As [`Product::start`].
    pub fn start_at(
        address: SocketAddr,
        binary: &Path,
        role: Role,
        environment: &Environment,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{}-{}.log", role.name(), address.port()));
        let mut command = command(binary, role.arguments(), environment, folder);
        command
            .env(role.listen_variable(), address.to_string())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?);
        let mut process = Process::start(&mut command, Signal::SIGKILL)?;
        process
            .wait_until_ready(&log, START_LIMIT, || {
                http_get(address, "/readyz").is_ok_and(|(status, _)| status == 200)
            })
            .map_err(|error| format!("coatcheck ({}) {error}", role.name()))?;
        Ok(Self {
            process,
            role,
            address,
            log,
        })
    }

    /// What it does.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// All that it has written to stderr so far.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// The sum of a metric over its labels, none where it has not been written yet.
    ///
    /// # Errors
    /// Where the process does not answer.
    pub fn metric(&self, name: &str) -> Result<Option<f64>> {
        let (_, page) = http_get(self.address, "/metrics")?;
        let values: Vec<f64> = page
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
            .collect();
        Ok((!values.is_empty()).then(|| values.iter().sum()))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Asks it to end, as an operator does.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Whether it has ended, by itself or otherwise.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.exit_status()?.is_some())
    }

    /// How it ended.
    ///
    /// # Errors
    /// Where it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.wait(limit)
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what it saw")]
            {
                eprintln!("--- {}\n{}", self.log.display(), end_of(&self.log));
            }
        }
    }
}

/// Runs a command of the product to its end.
///
/// # Errors
/// Where it does not end in time.
pub fn run_to_end(
    binary: &Path,
    arguments: &[&str],
    environment: &Environment,
    folder: &Path,
) -> Result<Output> {
    let (out, err) = (folder.join("command.out"), folder.join("command.err"));
    let mut command = command(binary, arguments, environment, folder);
    command
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?);
    let mut process = Process::start(&mut command, Signal::SIGKILL)?;
    let status = process.wait(COMMAND_LIMIT)?;
    Ok(Output {
        status,
        stdout: fs::read(out)?,
        stderr: fs::read(err)?,
    })
}

/// `coatcheck migrate`.
///
/// # Errors
/// Where it fails; with what it said.
pub fn migrate(binary: &Path, environment: &Environment, folder: &Path) -> Result<()> {
    let output = run_to_end(binary, &["migrate"], environment, folder)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("coatcheck migrate ended with {}:\n{said}", output.status).into())
}

/// The product with arguments and settings, and none of this process's own.
fn command(binary: &Path, arguments: &[&str], environment: &Environment, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_setting = ["COATCHECK_", "OTEL_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if is_setting || text == "DATABASE_URL" || text == "REDIS_URL" {
            command.env_remove(&name);
        }
    }
    command
        .args(arguments)
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// The product's binary: as `cargo xtask` says, else the one that was built beside this test.
///
/// # Errors
/// Where it has not been built.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{BINARY_VARIABLE} names {path:?}, and there is no such file").into())
        };
    }
    let test = std::env::current_exe()?;
    test.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("coatcheck"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            "the product is not built: run `cargo build`, or all tests with `cargo xtask test`"
                .into()
        })
}
