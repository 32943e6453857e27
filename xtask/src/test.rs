//! `cargo xtask test`.

use std::{env, fs::Permissions, os::unix::fs::PermissionsExt, process::Command};

use coatcheck_tests::{
    product::BINARY_VARIABLE,
    servers::{DATABASE_VARIABLE, Postgres, REDIS_VARIABLE, Redis},
};

use tempfile::TempDir;

use crate::{
    Result, audit, faults, schemathesis, setup,
    step::Steps,
    workspace::{cargo, metadata},
};

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only the tests whose names contain one of these, and none of the other checks.
    filters: Vec<String>,
}

/// Every build takes everything: another selection of packages or targets would give the
/// dependencies other features, and compile them all again. The failure points do nothing in a
/// process that is not told to use them; the documentation is made without.
pub(crate) const EVERYTHING: [&str; 4] =
    ["--workspace", "--all-targets", FAILURE_POINTS, "--locked"];
const FAILURE_POINTS: &str = "--features=coatcheck/failure-points";

/// Runs every step; the first that fails ends it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("setup", setup::run)?;
    if arguments.filters.is_empty() {
        checks(&mut steps)?;
    }
    steps.command("build", cargo().arg("build").args(EVERYTHING))?;
    if arguments.filters.is_empty() {
        let mut documentation_tests = cargo();
        documentation_tests
            .args(["test", "--doc", "--workspace", "--locked", "--quiet"])
            .arg(FAILURE_POINTS);
        steps.command("documentation tests", &mut documentation_tests)?;
    }
    let servers = steps.step("servers", Servers::start)?;
    let mut tests = cargo();
    tests
        .args(["nextest", "run"])
        .args(EVERYTHING)
        .args(&arguments.filters);
    servers.tell(&mut tests)?;
    steps.command("tests, in both modes", &mut tests)?;
    drop(servers);
    if arguments.filters.is_empty() {
        let target = metadata()?.target_directory;
        steps.step("the document, by Schemathesis", || {
            schemathesis::run(&target)
        })?;
        steps.step("faults, a short run", faults::short_run)?;
    }
    steps.report();
    Ok(())
}

fn checks(steps: &mut Steps) -> Result<()> {
    steps.command("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    steps.step("dependencies", audit::run)?;
    steps.command(
        "clippy",
        cargo()
            .arg("clippy")
            .args(EVERYTHING)
            .args(["--", "--deny", "warnings"]),
    )?;
    steps.command(
        "documentation",
        cargo()
            .args(["doc", "--no-deps", "--workspace", "--locked"])
            // The examples alone need what only tests need, and so the features of everything else.
            .args(["--lib", "--bins", "--examples"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// The servers that all tests share; each test has its own database and its own keys on them.
struct Servers {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    /// Where the tests keep their files: one that is killed leaves them behind.
    folder: TempDir,
}

impl Servers {
    fn start() -> Result<Self> {
        let named = |variable| env::var_os(variable).is_some();
        let folder = tempfile::Builder::new()
            .prefix("coatcheck-tests-")
            // Postgres, which a test may start, runs under another account than root's.
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        Ok(Self {
            folder,
            postgres: (!named(DATABASE_VARIABLE))
                .then(Postgres::start)
                .transpose()?,
            redis: (!named(REDIS_VARIABLE)).then(Redis::start).transpose()?,
        })
    }

    fn tell(&self, tests: &mut Command) -> Result<()> {
        if let Some(postgres) = &self.postgres {
            tests.env(DATABASE_VARIABLE, postgres.url());
        }
        if let Some(redis) = &self.redis {
            tests.env(REDIS_VARIABLE, redis.url());
        }
        tests.env("TMPDIR", self.folder.path());
        let binary = metadata()?.target_directory.join("debug/coatcheck");
        tests.env(BINARY_VARIABLE, binary);
        Ok(())
    }
}
