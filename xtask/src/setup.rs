//! What the tests need of the machine: installed where that can be done, else named.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use coatcheck_tests::{
    promtool,
    servers::{DATABASE_VARIABLE, REDIS_VARIABLE, postgres, redis},
};

use crate::{
    Result,
    step::succeed,
    workspace::{cargo, metadata},
};

/// Makes sure that every program is there.
pub(crate) fn run() -> Result<()> {
    cargo_tools()?;
    packages()?;
    promtool(&metadata()?.target_directory)
}

/// Makes sure that `promtool` is there: unpacked under the target folder where it is not installed.
pub(crate) fn promtool(target: &Path) -> Result<()> {
    let Err(missing) = promtool::find_beside(target) else {
        return Ok(());
    };
    if !is_debian() {
        return Err(missing);
    }
    println!("fetching promtool, once");
    let folder = tempfile::tempdir()?;
    succeed(apt_get().arg("update"))?;
    succeed(
        Command::new("apt-get")
            .args(["download", "--quiet", "prometheus"])
            .current_dir(folder.path()),
    )?;
    let package = fs::read_dir(folder.path())?
        .next()
        .ok_or("apt-get has downloaded nothing")??;
    succeed(
        Command::new("dpkg-deb")
            .arg("--extract")
            .args([package.path(), target.join(promtool::FOLDER)]),
    )?;
    promtool::find_beside(target).map(drop)
}

fn packages() -> Result<()> {
    let mut packages = Vec::new();
    if std::env::var_os(REDIS_VARIABLE).is_none() && !redis::is_installed() {
        packages.push("redis-server");
    }
    if std::env::var_os(DATABASE_VARIABLE).is_none() && !postgres::is_installed() {
        packages.push("postgresql");
    }
    // Debian's Python comes without what makes a virtual environment.
    if !answers(Command::new("python3").args(["-c", "import ensurepip"])) {
        packages.push("python3-venv");
    }
    // Without it two faults are left out, and the driver says so.
    if is_debian() && !has_fake_clock() {
        packages.push("libfaketime");
    }
    if packages.is_empty() {
        return Ok(());
    }
    if !is_debian() {
        return Err(format!(
            "missing: {}. Install it so that its programs are on the path, or name a running \
             server in {REDIS_VARIABLE} or {DATABASE_VARIABLE} (a user who may create databases)",
            packages.join(", ")
        )
        .into());
    }
    println!("installing {}", packages.join(", "));
    succeed(apt_get().arg("update"))?;
    succeed(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

fn cargo_tools() -> Result<()> {
    for (tool, component) in [("clippy", "clippy"), ("fmt", "rustfmt")] {
        if !answers(cargo().args([tool, "--version"])) {
            return Err(
                format!("cargo {tool} is missing: rustup component add {component}").into(),
            );
        }
    }
    if !answers(cargo().args(["nextest", "--version"])) {
        println!("installing cargo-nextest, once: this takes some minutes");
        succeed(cargo().args(["install", "cargo-nextest", "--locked"]))?;
    }
    Ok(())
}

fn answers(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The library that gives a process another clock.
fn has_fake_clock() -> bool {
    fs::read_dir("/usr/lib").is_ok_and(|folders| {
        folders
            .flatten()
            .any(|folder| folder.path().join("faketime/libfaketime.so.1").is_file())
    })
}

/// Debian, Ubuntu and what derives from them.
fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| {
        text.lines()
            .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
            .any(|line| line.contains("debian") || line.contains("ubuntu"))
    })
}

fn apt_get() -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        Command::new("apt-get")
    } else {
        let mut command = Command::new("sudo");
        command.args(["--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
        command
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
