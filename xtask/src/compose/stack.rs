//! The containers of docker-compose.yml, under a project of their own and gone with their value.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use coatcheck_tests::{http_get::http_get, port::free_port};

use super::{
    commands::{docker, output_of, wait_until},
    table::Table,
};
use crate::{Result, step::succeed, workspace::metadata};

/// The release that is there at first.
pub(super) const FIRST: &str = "compose-test";
/// The release that replaces it: the same program in another image.
pub(super) const NEXT: &str = "compose-test-next";

const HEALTHY: Duration = Duration::from_secs(60);

/// The system.
pub(super) struct Stack {
    /// `docker-compose` or `docker compose`.
    program: Vec<&'static str>,
    root: PathBuf,
    project: String,
    address: SocketAddr,
}

impl Stack {
    /// Prepares it; nothing runs yet.
    pub(super) fn new() -> Result<Self> {
        let alone = output_of(Command::new("docker-compose").arg("version")).is_ok();
        Ok(Self {
            program: if alone {
                vec!["docker-compose"]
            } else {
                vec!["docker", "compose"]
            },
            root: metadata()?.workspace_root,
            project: format!("coatcheck-test-{}", std::process::id()),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
        })
    }

    /// Where clients reach it.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Builds the images, as `docker-compose up` does where they are missing.
    pub(super) fn build(&self, table: &mut Table) -> Result<()> {
        let begun = Instant::now();
        println!("── build");
        succeed(&mut self.compose(FIRST, &["build", "proxy", "migrate"]))?;
        table.add("images built", begun.elapsed(), None);
        let size = |image: &str| -> Result<f64> {
            let size = output_of(&mut docker(&["image", "inspect", "-f", "{{.Size}}", image]))?;
            Ok(size.trim().parse::<f64>()? / 1e6)
        };
        let (whole, base) = (
            size(&format!("coatcheck:{FIRST}"))?,
            size("debian:bookworm-slim")?,
        );
        table.note(format!(
            "the image has {whole:.0} MB, {:.0} MB over its base",
            whole - base
        ));
        self.make_next_release()
    }

    fn make_next_release(&self) -> Result<()> {
        let first = format!("coatcheck:{FIRST}");
        let container = output_of(&mut docker(&["create", &first]))?;
        let container = container.trim();
        let next = format!("coatcheck:{NEXT}");
        let made = output_of(&mut docker(&[
            "commit",
            "--change",
            "LABEL release=next",
            container,
            &next,
        ]));
        output_of(&mut docker(&["rm", container]))?;
        made.map(drop)
    }

    /// `docker-compose up` with so many APIs and workers, until all of them are healthy.
    pub(super) fn up(&self, apis: usize, workers: usize) -> Result<()> {
        self.up_as(FIRST, apis, workers)
    }

    /// The same of a release.
    pub(super) fn up_as(&self, release: &str, apis: usize, workers: usize) -> Result<()> {
        let (apis, workers) = (format!("api={apis}"), format!("worker={workers}"));
        let arguments = ["up", "-d", "--scale", &apis, "--scale", &workers];
        output_of(&mut self.compose(release, &arguments))?;
        self.wait_until_healthy("api")?;
        self.wait_until_healthy("worker")
    }

    /// `packaging/upgrade` to the next release.
    pub(super) fn upgrade(&self) -> Result<()> {
        let mut command = Command::new(self.root.join("packaging/upgrade"));
        output_of(self.in_place(&mut command, NEXT)).map(drop)
    }

    /// `docker-compose` with arguments.
    pub(super) fn compose(&self, release: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program[0]);
        command.args(&self.program[1..]).args(arguments);
        self.in_place(&mut command, release);
        command
    }

    /// As a first-time user has it, on a port and under names of its own.
    fn in_place<'a>(&self, command: &'a mut Command, release: &str) -> &'a mut Command {
        for variable in [
            "COATCHECK_AUTH__MODE",
            "COATCHECK_AUTH__ADMIN_KEY",
            "COATCHECK_LOG__FILTER",
            "COMPOSE_FILE",
            "COMPOSE_PROFILES",
            "POSTGRES_PASSWORD",
        ] {
            command.env_remove(variable);
        }
        command
            .current_dir(&self.root)
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .env("COATCHECK_PORT", self.address.port().to_string())
            .env("COATCHECK_TAG", release)
    }

    /// The running containers of a service.
    pub(super) fn containers(&self, service: &str) -> Result<Vec<String>> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let list = output_of(&mut docker(&[
            "ps", "--quiet", "--filter", &project, "--filter", &service,
        ]))?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// One of them.
    pub(super) fn container(&self, service: &str) -> Result<String> {
        let first = self.containers(service)?.into_iter().next();
        first.ok_or_else(|| format!("no {service} runs").into())
    }

    /// The images that the containers of a service run.
    pub(super) fn images_of(&self, service: &str) -> Result<BTreeSet<String>> {
        self.containers(service)?
            .iter()
            .map(|container| inspect(container, "{{.Config.Image}}"))
            .collect()
    }

    /// Waits until all containers of a service are healthy.
    pub(super) fn wait_until_healthy(&self, service: &str) -> Result<()> {
        wait_until(&format!("{service} is healthy"), HEALTHY, || {
            for container in self.containers(service)? {
                if inspect(&container, "{{.State.Health.Status}}")? != "healthy" {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Waits until a client is answered that it is ready.
    pub(super) fn wait_until_answering(&self, limit: Duration) -> Result<()> {
        wait_until("/readyz is 200", limit, || {
            Ok(http_get(self.address, "/readyz").is_ok_and(|(status, _)| status == 200))
        })
    }

    /// Runs a shell command in a container of a service.
    pub(super) fn shell(&self, service: &str, script: &str) -> Result<String> {
        let container = self.container(service)?;
        output_of(&mut docker(&["exec", &container, "sh", "-ec", script]))
    }

    /// Prints the end of every container's log.
    pub(super) fn show_logs(&self) {
        drop(succeed(&mut self.compose(FIRST, &["ps"])));
        drop(succeed(&mut self.compose(FIRST, &["logs", "--tail", "40"])));
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let arguments = ["down", "--volumes", "--remove-orphans", "--timeout", "1"];
        // An interrupted task has to clean up too, so this asks nobody.
        drop(self.compose(FIRST, &arguments).output());
        for image in [format!("coatcheck:{NEXT}"), format!("coatcheck:{FIRST}")] {
            drop(docker(&["image", "rm", &image]).output());
        }
    }
}

/// A part of what the engine knows of a container.
pub(super) fn inspect(container: &str, what: &str) -> Result<String> {
    let said = output_of(&mut docker(&["inspect", "--format", what, container]))?;
    Ok(said.trim().to_owned())
}
