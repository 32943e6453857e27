//! Schemathesis: requests made up from the document, against the running product. What it checks,
//! and what is left out for which reason, stands in `xtask/schemathesis/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use coatcheck_tests::product::{Environment, Product, Role};

use crate::{Result, step::succeed};

/// Where its settings are.
const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis");

/// How long it makes up requests.
const LONGEST_S: &str = "75";

const ADMIN_KEY: &str = "the-operators-key-of-this-run";

/// Installs it under the target folder, once, and runs it against a product of its own.
pub(crate) fn run(target: &Path) -> Result<()> {
    let program = install(&target.join("schemathesis"))?;
    let folder = tempfile::Builder::new()
        .prefix("coatcheck-schemathesis-")
        .tempdir()?;
    let environment = Environment::from(
        [
            ("COATCHECK_AUTH__MODE", "keys"),
            ("COATCHECK_AUTH__ADMIN_KEY", ADMIN_KEY),
            ("COATCHECK_LOG__FILTER", "warn"),
            ("COATCHECK_DATA_DIR", &*folder.path().to_string_lossy()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let binary = target.join("debug/coatcheck");
    let product = Product::start(&binary, Role::AllInOne, &environment, folder.path())?;
    let mut command = Command::new(program);
    command
        .args(["--config-file", &format!("{SETTINGS}/schemathesis.toml")])
        .args(["run", "--max-time", LONGEST_S])
        .args(["--generation-database", "none"])
        .arg(format!("http://{}/openapi.json", product.address()))
        .env("ADMIN_KEY", ADMIN_KEY)
        .env("HOOKS", format!("{SETTINGS}/hooks.py"))
        .current_dir(folder.path());
    succeed(&mut command)
}

/// The program, installed where it is not there in this version.
fn install(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("bin/schemathesis");
    let requirements = format!("{SETTINGS}/requirements.txt");
    let wanted = fs::read_to_string(&requirements)?;
    let installed = folder.join("installed.txt");
    if program.is_file() && fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(program);
    }
    println!("installing Schemathesis, once");
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )
    .map_err(|error| {
        format!(
            "{error}\nmissing: python3 with venv and pip, in which Schemathesis is installed \
                 (Debian: apt-get install python3-venv)"
        )
    })?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ])
    .args(["--requirement", &requirements]);
    succeed(&mut pip).map_err(|error| {
        format!(
            "{error}\nSchemathesis could not be installed from PyPI into {}",
            folder.display()
        )
    })?;
    fs::write(installed, wanted)?;
    Ok(program)
}
