//! The command line.

use clap::{
    Parser, Subcommand,
    builder::styling::{AnsiColor, Styles},
};

use crate::{
    check::CheckArguments,
    client::{
        get::GetArguments, list::ListArguments, logs::LogsArguments, moves::MoveArguments,
        submit::SubmitArguments, wait::WaitArguments,
    },
    health::HealthArguments,
    load::LoadArguments,
    roles::keys::KeysArguments,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const ENVIRONMENT: &str = "\
Settings come from the environment, over the file that COATCHECK_CONFIG names, over the defaults:
  DATABASE_URL                    postgres://… or sqlite://… [a SQLite file in the data directory]
  REDIS_URL                       redis://… [none: the queue is in the process]
  COATCHECK_LISTEN                where the API listens [127.0.0.1:8080]
  COATCHECK_DATA_DIR              where the SQLite file lies [./data]
  COATCHECK_AUTH__MODE            open or keys [open on loopback, else keys]
  COATCHECK_AUTH__ADMIN_KEY       a first key, with every scope [none]
  COATCHECK_WORKER__CONCURRENCY   how many jobs one worker process holds at once [1000]
  COATCHECK_WORKER__GRACE_S       how long SIGTERM lets running jobs finish [25]
  COATCHECK_WORKER__LISTEN        where a worker serves /readyz and /metrics [127.0.0.1:8081]
  COATCHECK_LOG__FILTER           what is logged, as in info,coatcheck_worker=debug [info]
  OTEL_EXPORTER_OTLP_ENDPOINT     where traces are sent, as in http://localhost:4318 [none]
All of them, with their meaning, stand in coatcheck.toml.

A client (submit, get, wait, list, cancel, retry, logs, load) reads these instead:
  COATCHECK_URL                   where the API is [http://127.0.0.1:8080]
  COATCHECK_KEY                   the key to call with [none]";

const EXAMPLES: &str = "\
Examples:
  coatcheck                                  everything in one process, on 127.0.0.1:8080
  COATCHECK_LISTEN=127.0.0.1:9000 coatcheck  the same elsewhere
  coatcheck submit sleep '{\"ms\": 3000}' --wait
                                             hand in a job and see it finish
  coatcheck check                            are the settings and servers fit?
  coatcheck keys create --scope jobs:submit  make a key, its secret on stdout
  coatcheck load --duration 30s              measure it

  export DATABASE_URL=postgres://coatcheck@db/coatcheck REDIS_URL=redis://redis
  coatcheck migrate                          bring the schema up, once for each release
  coatcheck api                              as many of these as you like,
  coatcheck worker                           and of these";

/// Hand in a slow request, get a ticket, come back for the result.
///
/// Coatcheck is an async job API with background workers. A client POSTs work that takes seconds
/// or hours, is answered at once with 202 and the URL of a job, polls or waits on it, and fetches
/// the result.
///
/// Without a command it serves everything in one process: the API, a worker, the database in a
/// file and the queue in memory.
#[derive(Debug, Parser)]
#[command(
    name = "coatcheck",
    version,
    styles = STYLES,
    after_help = format!("{EXAMPLES}\n\nSee --help for the settings."),
    after_long_help = format!("{EXAMPLES}\n\n{ENVIRONMENT}"),
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the program is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API alone, over Postgres and Redis.
    ///
    /// Needs DATABASE_URL and REDIS_URL, and a schema that `coatcheck migrate` has brought up.
    /// Any number of these can run side by side, behind any load balancer. SIGTERM lets it answer
    /// the requests under way, the waiting ones first, and ends it with status 0.
    Api,
    /// Run jobs, over Postgres and Redis.
    ///
    /// Needs DATABASE_URL and REDIS_URL, and a schema that `coatcheck migrate` has brought up.
    /// Any number of these can run side by side. SIGTERM lets running jobs finish within the
    /// grace (COATCHECK_WORKER__GRACE_S), hands the rest back, and ends it with status 0.
    /// /livez, /readyz and /metrics are served on COATCHECK_WORKER__LISTEN.
    Worker,
    /// Bring the database's schema up to this release.
    ///
    /// Works on the database that DATABASE_URL names. Doing it again does nothing, and several at
    /// once wait for one another. The SQLite file of `coatcheck` without a command needs none.
    Migrate,
    /// Say whether the settings, the database, Redis and this machine are fit, a line each.
    ///
    /// Reads the same settings as the other commands and changes nothing. Run it on each machine
    /// before the first start and after changes. The exit status is 0, or 1 where a line says
    /// "fail": what was answered 202 could be lost, or nothing would work at all.
    Check(CheckArguments),
    /// Make, list and revoke the keys that callers show.
    ///
    /// Works on the database itself, with the settings of the API, so it needs no key and makes
    /// the first one. A new key is good at once, a revoked one within five seconds.
    Keys(KeysArguments),
    /// Ask the process beside this one whether it is ready: status 0 where it is, else 1.
    ///
    /// For the health checks of containers and service managers. Takes the settings of that process
    /// and asks /readyz where it listens: the API's on COATCHECK_LISTEN, or else a worker's on
    /// COATCHECK_WORKER__LISTEN.
    Health(HealthArguments),
    /// Hand in a job: prints its id, or with --wait the job once it is finished.
    Submit(Box<SubmitArguments>),
    /// Show a job, or fetch its result.
    Get(GetArguments),
    /// Wait until a job is finished.
    Wait(WaitArguments),
    /// List jobs, newest first.
    List(Box<ListArguments>),
    /// Cancel jobs: at once where they wait, as soon as they stop where they run.
    Cancel(MoveArguments),
    /// Run failed or cancelled jobs again.
    Retry(MoveArguments),
    /// Show what a job's attempts have logged.
    Logs(LogsArguments),
    /// Measure a running Coatcheck: submit jobs, follow them to their end, report.
    ///
    /// A closed loop keeps --connections callers busy, each sending its next job when its last is
    /// done. An open loop (--rate) submits by a schedule that no answer can delay, and counts
    /// latency from the scheduled moment, so that a stall of the server shows in every job that
    /// it made wait.
    Load(Box<LoadArguments>),
    /// List the points at which COATCHECK_FAILPOINTS can make this program crash, fail or dawdle.
    #[cfg(feature = "failure-points")]
    FailurePoints,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_variable_that_scripts_rely_on() {
        let help = CommandLine::command().render_long_help().to_string();
        for name in [
            "DATABASE_URL",
            "REDIS_URL",
            "COATCHECK_LISTEN",
            "COATCHECK_DATA_DIR",
        ] {
            assert!(help.contains(name), "{name}");
        }
    }
}
