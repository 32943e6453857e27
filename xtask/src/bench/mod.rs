//! `cargo xtask bench`: the product in both modes, driven by its own load tester, in one table.
//!
//! It is made for comparing before and after on one machine: the load tester and the servers share
//! the machine with the product, so a row says what all of it together can do.

mod backlog;
pub(crate) mod chart;
mod driver;
mod load;
mod measure;
mod subject;
mod sweep;
mod table;

use std::path::PathBuf;

use clap::ValueEnum;

use self::{measure::medians, subject::Mode, sweep::Axis};
use crate::{
    Result,
    step::succeed,
    workspace::{cargo, metadata},
};

/// How many jobs wait in the rows that compare with an empty queue.
const WAITING: usize = 1_000_000;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One mode alone.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// How often everything is measured; the table shows the medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Measure too what a job and a page cost while a million jobs wait (some minutes a mode).
    #[arg(long)]
    backlog: bool,
    /// Measure nothing but how cost grows along these.
    #[arg(long, value_enum, value_delimiter = ',')]
    sweep: Vec<Axis>,
    /// Measure this program instead of building one: for comparing with an earlier one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Print one JSON object instead of the table; `cargo xtask charts` draws its sweeps.
    #[arg(long)]
    json: bool,
}

/// Builds, measures each mode, prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binary = match &arguments.binary {
        Some(binary) => binary.canonicalize()?,
        None => build()?,
    };
    let modes = match arguments.mode {
        Some(mode) => vec![mode],
        None => Mode::value_variants().to_vec(),
    };
    let (mut columns, mut sweeps) = (Vec::new(), Vec::new());
    for mode in modes {
        for axis in &arguments.sweep {
            eprintln!("\n── {mode}, {axis}");
            sweeps.push(sweep::measure(mode, *axis, &binary)?);
        }
        if !arguments.sweep.is_empty() {
            continue;
        }
        let mut runs = Vec::new();
        for run in 1..=arguments.runs {
            eprintln!("\n── {mode}, run {run} of {}", arguments.runs);
            runs.push(measure::measure(mode, &binary)?);
        }
        let mut rows = medians(runs);
        if arguments.backlog {
            rows.extend(backlog::measure(mode, &binary, WAITING)?);
        }
        columns.push((mode, rows));
    }
    if arguments.json {
        println!("{}", table::as_json(&columns, &sweeps)?);
    } else {
        println!("\n{}", table::as_text(&columns));
        sweeps.iter().for_each(|sweep| println!("\n{sweep}"));
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    // The members that cargo builds by default, as `cargo run --release` does: other ones would
    // give the dependencies other features.
    succeed(cargo().args(["build", "--release", "--locked"]))?;
    Ok(metadata()?.target_directory.join("release/coatcheck"))
}
