//! `cargo xtask faults`: builds the product and the driver that harms it, and lets the driver work.

use std::{path::Path, process::Command};

use coatcheck_tests::product::BINARY_VARIABLE;

use crate::{
    Result, mutant,
    step::succeed,
    test::EVERYTHING,
    workspace::{cargo, metadata},
};

/// What to harm, and how long. Everything but the guard is for the driver, which has help of its own.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Takes a guard out of a copy of the product first, to see what is then lost.
    #[arg(long, value_name = "GUARD")]
    without_guard: Option<String>,
    /// What the driver is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    driver: Vec<String>,
}

/// Builds and drives.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    succeed(cargo().arg("build").args(EVERYTHING))?;
    let debug = metadata()?.target_directory.join("debug");
    let binary = match &arguments.without_guard {
        None => debug.join("coatcheck"),
        Some(guard) => mutant::build(guard)?,
    };
    drive(&debug, &binary, &arguments.driver)
}

/// The short run that is a part of every test: each fault once, and the quick scenarios.
pub(crate) fn short_run() -> Result<()> {
    let debug = metadata()?.target_directory.join("debug");
    let arguments = ["--worlds=3", "--quick"].map(str::to_owned);
    drive(&debug, &debug.join("coatcheck"), &arguments)
}

fn drive(debug: &Path, binary: &Path, arguments: &[String]) -> Result<()> {
    let mut driver = Command::new(debug.join("faults"));
    driver.args(arguments).env(BINARY_VARIABLE, binary);
    succeed(&mut driver)
}
