//! `coatcheck failure-points`.

use std::{io::Write, process::ExitCode};

use coatcheck_shared::failure_points;

use crate::failure::Failure;

/// Prints the name of every failure point, one a line.
pub(crate) fn list() -> Result<ExitCode, Failure> {
    let names: Vec<&str> = failure_points::names().collect();
    writeln!(std::io::stdout(), "{}", names.join("\n"))
        .map_err(|error| Failure::caused_by("the names cannot be written", &error))?;
    Ok(ExitCode::SUCCESS)
}
