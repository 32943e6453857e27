//! What is done to the running system, one thing after another.

use std::time::Duration;

use super::{
    Trial,
    commands::{docker, output_of, wait_until},
    stack::{FIRST, NEXT, Stack, inspect},
    verdict,
};
use crate::Result;

/// How soon requests are answered again once what they need is back.
const SMOOTH: Duration = Duration::from_secs(60);
/// How many answers in a row show that.
const IN_A_ROW: u64 = 30;

/// A step of a later release that this program does not know, as `migrate` would leave it.
const LATER_SCHEMA: &str = "psql --quiet --username coatcheck -v ON_ERROR_STOP=1 coatcheck \
    -c 'ALTER TABLE jobs ADD COLUMN of_a_later_release text' \
    -c \"INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'of a later release', true, '', 0)\"";

impl Trial<'_> {
    /// Everything, and then the count.
    pub(super) fn all(mut self) -> Result<()> {
        self.step(
            "hardened: no root, no capability, nothing writable",
            hardened,
        )?;
        self.step("2 APIs, 4 workers", |stack| stack.up(2, 4))?;
        self.deaths()?;
        self.releases()?;
        self.step("1 API, 1 worker", |stack| stack.up_as(NEXT, 1, 1))?;
        let Self {
            stack,
            stream,
            table,
        } = self;
        verdict::reach(stack, stream, table)
    }

    fn deaths(&mut self) -> Result<()> {
        self.step("kill -9 of a worker, and another started", |stack| {
            kill(stack, "worker")?;
            stack.up(2, 4)
        })?;
        self.step("kill -9 of an API, and another started", |stack| {
            kill(stack, "api")?;
            stack.up(2, 4)
        })?;
        self.step("kill -9 of Redis, away for a while", |stack| {
            kill(stack, "redis")?;
            // Hints get lost, and workers claim from the database.
            wait_until_running_without_redis(stack)?;
            stack.up(2, 4)
        })?;
        self.step("Postgres restarted", |stack| {
            output_of(&mut stack.compose(FIRST, &["restart", "postgres"]))?;
            stack.wait_until_answering(SMOOTH)
        })?;
        self.smooth()
    }

    fn releases(&mut self) -> Result<()> {
        self.step("old processes beside a later schema", |stack| {
            stack.shell("postgres", LATER_SCHEMA).map(drop)
        })?;
        self.smooth()?;
        let repeated = self.step("rolling upgrade: migrate, APIs, workers", |stack| {
            stack.upgrade()?;
            all_run_the_next_release(stack)
        })?;
        if repeated > 0 {
            return Err(format!("{repeated} requests were not answered during the upgrade").into());
        }
        self.step("SIGTERM of an API and of a worker", |stack| {
            ends_well(stack, "api")?;
            ends_well(stack, "worker")
        })?;
        Ok(())
    }

    /// Waits until requests are answered as they come.
    fn smooth(&self) -> Result<()> {
        let mut from = self.stream.tally();
        wait_until("requests are answered as they come", SMOOTH, || {
            let seen = self.stream.tally().since(from);
            if seen.repeated > 0 {
                from = self.stream.tally();
            }
            Ok(seen.repeated == 0 && seen.accepted >= IN_A_ROW)
        })
    }
}

fn kill(stack: &Stack, service: &str) -> Result<()> {
    output_of(&mut docker(&["kill", &stack.container(service)?])).map(drop)
}

/// Whether the product's processes can do no more than they need.
fn hardened(stack: &Stack) -> Result<()> {
    for service in ["api", "worker"] {
        // It fails where any of it is not so.
        let script = "test \"$(id -u)\" = 10001; \
            grep -qx 'CapEff:.0000000000000000' /proc/self/status; \
            grep -qx 'NoNewPrivs:.1' /proc/self/status; \
            ! touch /usr/local/bin/there /data/there 2> /dev/null; \
            coatcheck health";
        stack.shell(service, script)?;
    }
    let published = output_of(&mut docker(&["port", &stack.container("worker")?]))?;
    if published.trim().is_empty() {
        return Ok(());
    }
    Err(format!("the worker publishes {published}").into())
}

/// Some more jobs are finished.
fn wait_until_running_without_redis(stack: &Stack) -> Result<()> {
    let finished = || verdict::finished(stack);
    let before = finished()?;
    wait_until("jobs are run without Redis", SMOOTH, || {
        Ok(finished()? > before + IN_A_ROW)
    })
}

fn all_run_the_next_release(stack: &Stack) -> Result<()> {
    for (service, count) in [("api", 2), ("worker", 4)] {
        let (containers, images) = (stack.containers(service)?, stack.images_of(service)?);
        let next = format!("coatcheck:{NEXT}");
        if containers.len() != count || images.iter().any(|image| *image != next) {
            return Err(format!("{service}: {containers:?} run {images:?}").into());
        }
    }
    Ok(())
}

/// Told to end, it does so with status 0.
fn ends_well(stack: &Stack, service: &str) -> Result<()> {
    let container = stack.container(service)?;
    output_of(&mut docker(&["stop", "--time", "40", &container]))?;
    let status = inspect(&container, "{{.State.ExitCode}}")?;
    if status != "0" {
        return Err(format!("{service} ended with {status}").into());
    }
    output_of(&mut docker(&["start", &container]))?;
    stack.wait_until_healthy(service)
}
