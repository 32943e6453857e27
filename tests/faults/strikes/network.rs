//! The network between a process and a server: cut, silent, lossy one way, slow.

use std::time::Duration;

use coatcheck_tests::Result;
use rand::{RngExt, rngs::StdRng};

use crate::{
    clients::pause,
    proxy::Line,
    recorder::Recorder,
    strikes::handlers::burden,
    world::{Member, World},
};

/// Long enough that a lease ends in half of the rounds.
const AROUND_A_LEASE_MS: (u64, u64) = (1_500, 5_500);

/// One that has jobs which outlive its lease.
async fn one_worker(
    world: &mut World,
    recorder: &Recorder,
    line: Line,
    rng: &mut StdRng,
) -> Result<Vec<String>> {
    let index = rng.random_range(0..world.workers.len());
    burden(world, recorder, index, 5_000..6_500).await?;
    world.workers[index].database.set(line);
    let (shortest, longest) = AROUND_A_LEASE_MS;
    pause(rng, shortest, longest).await;
    reopen(world, rng).await;
    Ok(Vec::new())
}

/// With what was held arriving late after all, or not at all.
async fn reopen(world: &mut World, rng: &mut StdRng) {
    let late = rng.random::<bool>();
    for member in world.members() {
        if !late {
            member.database.reset().await;
        }
        member.database.set(Line::Open);
    }
}

async fn some(
    world: &mut World,
    rng: &mut StdRng,
    milliseconds: (u64, u64),
    strike: impl Fn(&Member),
) -> Result<Vec<String>> {
    for member in world.members() {
        if rng.random() {
            strike(member);
        }
    }
    pause(rng, milliseconds.0, milliseconds.1).await;
    reopen(world, rng).await;
    Ok(Vec::new())
}

pub(crate) async fn cut_database(
    world: &mut World,
    recorder: &Recorder,
    rng: &mut StdRng,
) -> Result<Vec<String>> {
    one_worker(world, recorder, Line::Cut, rng).await
}

pub(crate) async fn silence_database(
    world: &mut World,
    recorder: &Recorder,
    rng: &mut StdRng,
) -> Result<Vec<String>> {
    one_worker(world, recorder, Line::Silent, rng).await
}

pub(crate) async fn lose_answers(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let lose = |member: &Member| member.database.set(Line::AnswersLost);
    some(world, rng, (500, 2_500), lose).await
}

pub(crate) async fn lose_requests(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let lose = |member: &Member| member.database.set(Line::RequestsLost);
    some(world, rng, (500, 2_500), lose).await
}

pub(crate) async fn cut_redis(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    for api in &world.apis {
        api.queue.set(Line::Cut);
    }
    pause(rng, 500, 2_000).await;
    for api in &world.apis {
        api.queue.set(Line::Open);
    }
    Ok(Vec::new())
}

pub(crate) async fn slow_database(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let delay = Duration::from_millis(rng.random_range(20..80));
    for member in world.members() {
        member.database.set(Line::Slow(delay));
    }
    pause(rng, 800, 2_000).await;
    reopen(world, rng).await;
    Ok(Vec::new())
}

pub(crate) async fn slow_redis(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let delay = Duration::from_millis(rng.random_range(50..500));
    for member in world.members() {
        member.queue.set(Line::Slow(delay));
    }
    pause(rng, 800, 2_000).await;
    for member in world.members() {
        member.queue.set(Line::Open);
    }
    Ok(Vec::new())
}

/// A firewall that starts anew knows none of the connections that there are.
pub(crate) async fn forget(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    for member in world.members() {
        member.database.set(Line::Forgotten);
        member.queue.set(Line::Forgotten);
    }
    pause(rng, 300, 1_500).await;
    for member in world.members() {
        member.database.set(Line::Open);
        member.queue.set(Line::Open);
    }
    Ok(Vec::new())
}
