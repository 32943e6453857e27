//! Whether the files of the profile `observability` fit the product. Their images are not run: what
//! they say is checked by the tools that are there.

use std::{path::Path, process::Command};

use super::{
    commands::output_of,
    stack::{FIRST, Stack},
    table::Table,
};
use crate::Result;

/// Checks the compose file with the profile, and the alert rules where promtool is installed.
pub(super) fn check(stack: &Stack, root: &Path, table: &mut Table) -> Result<()> {
    let arguments = ["--profile", "observability", "config", "--quiet"];
    output_of(&mut stack.compose(FIRST, &arguments))?;
    if output_of(Command::new("promtool").arg("--version")).is_err() {
        table.note("the alert rules were not checked: promtool is not installed".to_owned());
        return Ok(());
    }
    for arguments in [
        ["check", "config", "--syntax-only", "prometheus.yml"].as_slice(),
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let folder = root.join("packaging/observability");
        output_of(Command::new("promtool").args(arguments).current_dir(folder))?;
    }
    Ok(())
}
