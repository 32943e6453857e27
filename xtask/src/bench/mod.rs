//! `cargo xtask bench`: the product in both modes, driven by its own load tester, in one table.
//!
//! It is made for comparing before and after on one machine: the load tester and the servers share
//! the machine with the product, so a row says what all of it together can do.

mod load;
mod measure;
mod subject;
mod table;

use clap::ValueEnum;

use self::subject::Mode;
use crate::{
    Result,
    step::succeed,
    workspace::{cargo, metadata},
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One mode alone.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// Builds, measures each mode, prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // The members that cargo builds by default, as `cargo run --release` does: other ones would
    // give the dependencies other features.
    succeed(cargo().args(["build", "--release", "--locked"]))?;
    let binary = metadata()?.target_directory.join("release/coatcheck");
    let modes = match arguments.mode {
        Some(mode) => vec![mode],
        None => Mode::value_variants().to_vec(),
    };
    let mut columns = Vec::new();
    for mode in modes {
        columns.push((mode, measure::measure(mode, &binary)?));
    }
    if arguments.json {
        println!("{}", table::as_json(&columns));
    } else {
        println!("\n{}", table::as_text(&columns));
    }
    Ok(())
}
