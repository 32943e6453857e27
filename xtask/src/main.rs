//! Set-up, tests and benchmarks of the project: `cargo xtask test`, `cargo xtask bench`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it speaks to a person at a terminal"
)]

mod audit;
mod bench;
mod compose;
mod faults;
mod interrupt;
mod mutant;
mod schemathesis;
mod setup;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Why a task failed. It is for a person alone.
type Result<T> = coatcheck_tests::Result<T>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tests and measures Coatcheck.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and every test in both modes, against private servers.
    Test(test::Arguments),
    /// Check the licences and the sources of all dependencies, offline.
    Audit,
    /// Try the document of the API by Schemathesis alone, as `test` does at its end.
    Schemathesis,
    /// Bring docker-compose.yml up on a real engine, harm it, and show that nothing is lost.
    ComposeTest(compose::Arguments),
    /// Measure the product in both modes and print one table.
    Bench(bench::Arguments),
    /// Harm the product while clients use it, and print what it has kept of its promises.
    Faults(faults::Arguments),
    /// Draw what the bench has measured along axes.
    Charts(bench::chart::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = interrupt::listen().and_then(|()| match arguments.task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Audit => audit::run(),
        Task::Schemathesis => {
            workspace::metadata().and_then(|metadata| schemathesis::run(&metadata.target_directory))
        }
        Task::ComposeTest(arguments) => compose::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Faults(arguments) => faults::run(&arguments),
        Task::Charts(arguments) => bench::chart::run(&arguments),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
