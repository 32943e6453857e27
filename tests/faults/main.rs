//! `cargo xtask faults`: harms the product round after round while clients use it, and says what
//! it has kept of its promises.
//!
//! A round is repeated by its seed: what is submitted, cancelled, killed and cut, and for how long,
//! comes from it. When exactly each of it happens does not, so a rare race may need several tries.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it speaks to a person at a terminal"
)]

mod clients;
mod fault;
mod history;
mod machine;
mod oracle;
mod proxy;
mod recorder;
mod report;
mod round;
mod runner;
mod scenarios;
mod strikes;
mod watch;
mod world;

use std::{process::ExitCode, time::Instant};

use clap::{Parser, ValueEnum};
use coatcheck_tests::{Result, product::binary};
use tokio::signal::unix::{SignalKind, signal};

use self::{fault::Fault, machine::Machine, runner::Run, scenarios::Scenario};

/// What to do.
#[derive(Parser)]
#[command(
    name = "cargo xtask faults",
    about = "Harms Coatcheck while clients use it, and says what it has kept of its promises."
)]
struct Arguments {
    /// How many rounds; one fault each, in turn. Each fault once where it is not said.
    #[arg(long)]
    rounds: Option<u64>,
    /// What the first round is made from; each further one from the next number. Random where it
    /// is not said.
    #[arg(long)]
    seed: Option<u64>,
    /// One fault or scenario alone (may be given again for more); `--list` names them.
    #[arg(long, value_name = "FAULT")]
    only: Vec<String>,
    /// How many worlds are harmed side by side, each with servers and processes of its own.
    #[arg(long, default_value_t = 2)]
    worlds: usize,
    /// Leave out what takes a minute or more, or measures speed.
    #[arg(long)]
    quick: bool,
    /// Name every fault and scenario.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = tokio::select! {
        outcome = run(Arguments::parse()) => outcome,
        // Servers and processes go with their worlds.
        interrupted = interrupted() => interrupted.and(Err("interrupted".into())),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ends with Ctrl-C, or with the SIGTERM that `xtask` passes on.
async fn interrupted() -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// Whether every promise was kept.
async fn run(arguments: Arguments) -> Result<bool> {
    if arguments.list {
        list();
        return Ok(true);
    }
    let (faults, scenarios) = chosen(&arguments)?;
    let binary = binary()?;
    let machine = Machine::look(&binary);
    let faults = possible(faults, &machine);
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("seed {seed}");
    let rounds = arguments.rounds.unwrap_or(faults.len() as u64);
    let begun = Instant::now();
    let run = Run::new(binary, machine, seed, rounds);
    let mut is_well = true;
    if !faults.is_empty() {
        let outcomes = run.rounds(&faults, arguments.worlds.max(1)).await;
        println!("\n{}", report::table(seed, &outcomes));
        is_well &= outcomes.iter().all(|outcome| outcome.violations.is_empty());
    }
    for scenario in scenarios {
        is_well &= run.scenario(scenario).await;
    }
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(is_well)
}

fn list() {
    let print = |name: &str, help: String| println!("{name:<22} {help}");
    for value in Fault::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value)
    {
        print(value.get_name(), help_of(&value));
    }
    println!("\nScenarios, each once and by itself:");
    for value in Scenario::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value)
    {
        print(value.get_name(), help_of(&value));
    }
}

fn help_of(value: &clap::builder::PossibleValue) -> String {
    value
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn chosen(arguments: &Arguments) -> Result<(Vec<Fault>, Vec<Scenario>)> {
    let (mut faults, mut scenarios) = (Vec::new(), Vec::new());
    for name in &arguments.only {
        if let Ok(fault) = Fault::from_str(name, false) {
            faults.push(fault);
        } else if let Ok(scenario) = Scenario::from_str(name, false) {
            scenarios.push(scenario);
        } else {
            return Err(format!("there is no fault {name:?}: --list names them").into());
        }
    }
    if arguments.only.is_empty() {
        faults = Fault::value_variants().to_vec();
        scenarios = Scenario::value_variants().to_vec();
        scenarios.retain(|scenario| !arguments.quick || scenario.is_quick());
    }
    Ok((faults, scenarios))
}

/// Those that this machine can have; the others are named.
fn possible(mut faults: Vec<Fault>, machine: &Machine) -> Vec<Fault> {
    faults.retain(|fault| match fault.missing(machine) {
        None => true,
        Some(why) => {
            println!("SKIPPED {}: {why}", fault.name());
            false
        }
    });
    faults
}
