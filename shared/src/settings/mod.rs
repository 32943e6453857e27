//! The settings: `coatcheck.toml` compiled in as the defaults, a file and the environment over it.

mod check;
mod load;
mod unreadable;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;

pub use self::load::{SettingsError, load, load_from};
use crate::job::{KindName, QueueName, backoff::Backoff};

/// The reference of all settings, with their defaults.
pub const REFERENCE: &str = include_str!("../../../coatcheck.toml");

/// How much the bodies that one process takes in or stores may take together, in bytes. So no body
/// can be larger.
pub const MOST_BODY_BYTES: usize = 256 * 1024 * 1024;

/// Every setting. The field's documentation is in [`REFERENCE`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct Settings {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub database_url: Option<SecretString>,
    pub redis_url: Option<SecretString>,
    pub jobs: JobSettings,
    pub worker: WorkerSettings,
    pub keepers: KeeperSettings,
    pub store: StoreSettings,
    pub redis: RedisSettings,
    pub auth: AuthSettings,
    pub limits: LimitSettings,
    pub cors: CorsSettings,
    pub http: HttpSettings,
    pub log: LogSettings,
    pub traces: TraceSettings,
    #[serde(default)]
    pub kinds: BTreeMap<KindName, KindSettings>,
    #[serde(default)]
    pub commands: BTreeMap<String, CommandSettings>,
}

/// `[jobs]`: what a submission that does not say gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct JobSettings {
    pub max_attempts: u32,
    pub retain_s: u64,
    pub idempotency_retain_s: u64,
    pub backoff: Backoff,
}

/// `[worker]`: a worker process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct WorkerSettings {
    pub concurrency: usize,
    pub queues: Vec<QueueName>,
    pub lease_s: u64,
    pub grace_s: u64,
    pub cancel_grace_s: u64,
    pub listen: SocketAddr,
    pub result_bytes: usize,
}

/// `[keepers]`: dispatcher, rescuer, cleaner.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct KeeperSettings {
    pub sweep_s: f64,
    pub hint_grace_s: f64,
}

/// `[store]`: the way to the database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct StoreSettings {
    pub connections: u32,
    pub deadline_s: f64,
    pub committers: usize,
    pub largest_group: usize,
}

/// `[redis]`: the way to Redis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct RedisSettings {
    pub prefix: String,
    pub deadline_s: f64,
}

/// How callers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Everyone is let in.
    Open,
    /// By a bearer key.
    Keys,
}

/// `[auth]`: who may call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct AuthSettings {
    pub mode: Option<AuthMode>,
    pub admin_key: Option<SecretString>,
}

/// `[limits]`: what one caller may ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct LimitSettings {
    pub body_bytes: usize,
    pub request_s: u64,
    pub wait_s: u64,
    pub idle_s: u64,
    pub stalled_s: u64,
    pub connections: usize,
    pub queue_depth: u32,
    pub unfinished_jobs: u32,
    pub rate_per_s: f64,
    pub rate_burst: u32,
    pub last_call_s: f64,
}

/// `[cors]`: which pages of other origins may call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct CorsSettings {
    pub origins: Vec<String>,
    pub max_age_s: u32,
}

/// `[http]`: what `http` jobs may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct HttpSettings {
    pub allow_private: bool,
    pub timeout_s: u64,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people where stderr is a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// One line of text.
    Human,
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct LogSettings {
    pub format: LogFormat,
    pub filter: String,
}

/// `[traces]`: where spans are sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "coatcheck.toml documents them, once")]
pub struct TraceSettings {
    pub endpoint: Option<SecretString>,
    pub sample_ratio: f64,
    pub queue: usize,
    pub deadline_s: f64,
}

/// `[kinds.NAME]`: what is settled about a kind in advance.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindSettings {
    /// False: the kind is declared, and submissions of it are answered 501.
    pub implemented: bool,
}

/// `[commands.NAME]`: a program that `command` jobs may run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// The program's absolute path.
    pub program: PathBuf,
    /// Its arguments, as they stand.
    #[serde(default)]
    pub args: Vec<String>,
    /// The media type of its output.
    #[serde(default = "octet_stream")]
    pub content_type: String,
    /// Its working directory; the root where it is not said.
    #[serde(default = "root")]
    pub directory: PathBuf,
    /// Its environment, beside PATH.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The most that it may write to its standard output, in bytes; the worker's `result_bytes`
    /// where it is not said.
    #[serde(default)]
    pub output_bytes: Option<usize>,
}

fn octet_stream() -> String {
    "application/octet-stream".to_owned()
}

fn root() -> PathBuf {
    "/".into()
}

impl Settings {
    /// How callers are known: as said, else open on loopback and by keys elsewhere.
    pub fn auth_mode(&self) -> AuthMode {
        self.auth.mode.unwrap_or(if self.listen.ip().is_loopback() {
            AuthMode::Open
        } else {
            AuthMode::Keys
        })
    }
}

impl WorkerSettings {
    /// How long a lease lasts without being renewed.
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }

    /// How long running jobs may go on after SIGTERM.
    pub const fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s)
    }

    /// How long a job that was told to stop may take over it.
    pub const fn cancel_grace(&self) -> Duration {
        Duration::from_secs(self.cancel_grace_s)
    }
}

impl LimitSettings {
    /// How long connections go on being accepted after SIGTERM.
    pub fn last_call(&self) -> Duration {
        Duration::from_secs_f64(self.last_call_s)
    }
}

impl KeeperSettings {
    /// The pause between two looks.
    pub fn sweep(&self) -> Duration {
        Duration::from_secs_f64(self.sweep_s)
    }

    /// How long a job may be queued before its hint can count as lost.
    pub fn hint_grace(&self) -> Duration {
        Duration::from_secs_f64(self.hint_grace_s)
    }
}

impl StoreSettings {
    /// How long one answer of the database may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline_s)
    }
}

impl TraceSettings {
    /// How long the collector may take to answer.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline_s)
    }
}

impl RedisSettings {
    /// How long one answer of Redis may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline_s)
    }
}
