//! `coatcheck`: the one binary, for operators and for clients.

mod arguments;
mod check;
mod client;
mod failure;
#[cfg(feature = "failure-points")]
mod failure_points;
mod file_limit;
mod greeting;
mod health;
mod load;
mod roles;
mod shutdown;
mod telemetry;
mod worker_health;

use std::process::ExitCode;

use clap::Parser;

use self::arguments::{Command, CommandLine};

/// Every job is a few dozen small allocations, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        None => roles::play("all", roles::all_in_one::run),
        Some(Command::Api) => roles::play("api", roles::api::run),
        Some(Command::Worker) => roles::play("worker", roles::worker::run),
        Some(Command::Migrate) => roles::play("migrate", roles::migrate::run),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Keys(arguments)) => {
            roles::play("keys", |process| roles::keys::run(process, arguments))
        }
        Some(Command::Health(arguments)) => health::run(&arguments),
        Some(Command::Submit(arguments)) => client::submit::run(&arguments),
        Some(Command::Get(arguments)) => client::get::run(&arguments),
        Some(Command::Wait(arguments)) => client::wait::run(&arguments),
        Some(Command::List(arguments)) => client::list::run(&arguments),
        Some(Command::Cancel(arguments)) => client::moves::cancel(&arguments),
        Some(Command::Retry(arguments)) => client::moves::retry(&arguments),
        Some(Command::Logs(arguments)) => client::logs::run(&arguments),
        Some(Command::Load(arguments)) => load::run(&arguments),
        #[cfg(feature = "failure-points")]
        Some(Command::FailurePoints) => failure_points::list(),
    };
    outcome.unwrap_or_else(|failure| failure.report())
}
