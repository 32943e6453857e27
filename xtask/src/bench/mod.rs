//! `cargo xtask bench`.
use crate::Result;
/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {}
pub(crate) fn run(_: &Arguments) -> Result<()> {
    Ok(())
}
