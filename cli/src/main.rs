//! `coatcheck`: the one binary, for operators and for clients.

mod failure;
mod load;
mod shutdown;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An async job API with background workers.
#[derive(Debug, Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Load(load::LoadArguments),
}

fn main() -> ExitCode {
    let Command::Load(arguments) = CommandLine::parse().command;
    load::run(&arguments).unwrap_or_else(|failure| failure.report())
}
