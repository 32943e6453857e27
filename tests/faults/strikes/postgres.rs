//! Postgres stopped, its connections ended or eaten, its disk full.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use coatcheck_tests::Result;
use rand::{RngExt, rngs::StdRng};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::{
    task::block_in_place,
    time::{sleep, timeout},
};

use crate::{
    clients::pause,
    watch::{Unmet, refuses_within},
    world::World,
};

/// Two seconds are promised; the machine is busy with everything that this driver does.
const REFUSED_WITHIN: Duration = Duration::from_millis(2_500);
const START_LIMIT: Duration = Duration::from_secs(20);
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE application_name = 'coatcheck'";

pub(crate) async fn stop(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    block_in_place(|| world.postgres.stop_at_once())?;
    let mut unmet = Unmet::default();
    if rng.random() {
        refuses_within(world, REFUSED_WITHIN, &mut unmet).await?;
    }
    pause(rng, 50, 2_000).await;
    block_in_place(|| world.postgres.restart())?;
    Ok(unmet.0)
}

pub(crate) async fn terminate(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let mut connection = PgConnection::connect(&world.postgres.url()).await?;
    for _ in 0..rng.random_range(2..6) {
        connection.execute(TERMINATE).await?;
        pause(rng, 30, 300).await;
    }
    Ok(Vec::new())
}

pub(crate) async fn terminate_commits(world: &mut World) -> Result<Vec<String>> {
    let mut connection = PgConnection::connect(&world.postgres.url()).await?;
    // A COMMIT takes long enough to be met.
    slow_commits(&mut connection, "20000").await?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_000) {
        let commits = format!("{TERMINATE} AND state = 'active' AND query ILIKE 'commit%'");
        connection.execute(AssertSqlSafe(commits)).await?;
        sleep(Duration::from_millis(4)).await;
    }
    slow_commits(&mut connection, "0").await?;
    Ok(Vec::new())
}

async fn slow_commits(connection: &mut PgConnection, microseconds: &str) -> Result<()> {
    for statement in [
        "ALTER SYSTEM SET commit_siblings = 0".to_owned(),
        format!("ALTER SYSTEM SET commit_delay = {microseconds}"),
        "SELECT pg_reload_conf()".to_owned(),
    ] {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

pub(crate) async fn eat_connections(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let url = world.postgres.url();
    let mut eaten = vec![PgConnection::connect(&url).await?];
    let begun = Instant::now();
    let hold = Duration::from_millis(rng.random_range(800..2_000));
    while begun.elapsed() < hold {
        match PgConnection::connect(&url).await {
            Ok(connection) => eaten.push(connection),
            Err(_) => {
                // What the product still has is taken from it, and eaten too.
                eaten[0].execute(TERMINATE).await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    Ok(Vec::new())
}

pub(crate) async fn fill_disk(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let disk = world.disk.as_ref().ok_or("this world has no small disk")?;
    let ballast = disk.path().join("ballast");
    fill(&ballast)?;
    pause(rng, 800, 2_000).await;
    std::fs::remove_file(ballast)?;
    serve_again(world).await?;
    Ok(Vec::new())
}

/// Writes until there is no room.
fn fill(ballast: &Path) -> Result<()> {
    let written = block_in_place(|| {
        Command::new("dd")
            .args([
                "if=/dev/zero",
                "bs=64k",
                &format!("of={}", ballast.display()),
            ])
            .output()
    })?;
    if written.status.success() {
        return Err("the small disk has no end".into());
    }
    Ok(())
}

/// A full disk can end Postgres, at once or while it recovers.
async fn serve_again(world: &mut World) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < START_LIMIT {
        if !world.postgres.is_running()? {
            block_in_place(|| world.postgres.restart())?;
        }
        let connected = timeout(
            Duration::from_secs(1),
            PgConnection::connect(&world.postgres.url()),
        );
        if let Ok(Ok(_)) = connected.await {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err("Postgres does not serve again after its disk was full".into())
}
