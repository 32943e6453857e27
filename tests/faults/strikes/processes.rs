//! Processes of the product, killed, frozen, replaced, and with a wrong clock.

use std::time::Duration;

use coatcheck_tests::Result;
use nix::sys::signal::Signal;
use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};

use crate::{
    clients::pause,
    machine::Machine,
    proxy::Line,
    recorder::Recorder,
    strikes::handlers::burden,
    world::{LEASE, Member, World},
};

/// How long a process that is to crash at a point may take to come by there.
const POINT_LIMIT: Duration = Duration::from_secs(4);

/// Where a process can be made to crash: the instants of a job's way at which something is done
/// and something else is not yet.
pub(crate) const API_POINTS: [&str; 5] = [
    "store.insert.before",
    "store.insert.after",
    "queue.push.before",
    "queue.push.after",
    "store.cancel.after",
];
pub(crate) const WORKER_POINTS: [&str; 9] = [
    "queue.pop.after",
    "store.claim.before",
    "store.claim.after",
    "run.before",
    "run.after",
    "store.finish.before",
    "store.finish.after",
    "store.rescue.after",
    "store.enqueue_due.after",
];

fn one<'a>(members: &'a mut [Member], rng: &mut StdRng) -> &'a mut Member {
    let index = rng.random_range(0..members.len());
    &mut members[index]
}

pub(crate) async fn kill_api(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    one(&mut world.apis, rng).kill()?;
    pause(rng, 50, 600).await;
    Ok(Vec::new())
}

pub(crate) async fn kill_worker(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    one(&mut world.workers, rng).kill()?;
    pause(rng, 50, 600).await;
    Ok(Vec::new())
}

pub(crate) async fn kill_all(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let mut members: Vec<&mut Member> = world.members().collect();
    members.shuffle(rng);
    for member in members {
        member.kill()?;
    }
    pause(rng, 0, 300).await;
    Ok(Vec::new())
}

/// The process is not sure to come by its point in time, where it is one of rare moves.
pub(crate) async fn kill_at_point(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let (binary, folder) = world.start_place();
    let (members, points) = if rng.random_ratio(1, 3) {
        (&mut world.apis, API_POINTS.as_slice())
    } else {
        (&mut world.workers, WORKER_POINTS.as_slice())
    };
    let point = points[rng.random_range(0..points.len())];
    let rule = format!("{point}=crash@{}", rng.random_range(1..12));
    let member = one(members, rng);
    block_in_place(|| member.terminate())?;
    let settings = [("COATCHECK_FAILPOINTS", rule.as_str())];
    if block_in_place(|| member.start(&binary, &folder, &settings)).is_err() {
        // It came by the point before it was ready.
        return Ok(Vec::new());
    }
    let begun = Instant::now();
    while begun.elapsed() < POINT_LIMIT && member.is_running()? {
        sleep(Duration::from_millis(20)).await;
    }
    // Where it did not come by: it is not to do so in a later round.
    member.kill()?;
    Ok(Vec::new())
}

/// The worker has long jobs, and stands still while their ends wait to be recorded: it sends them
/// off as the first thing when it goes on. By then others have been given those jobs, and run them.
pub(crate) async fn zombie(
    world: &mut World,
    recorder: &Recorder,
    rng: &mut StdRng,
) -> Result<Vec<String>> {
    let index = rng.random_range(0..world.workers.len());
    burden(world, recorder, index, 2_500..4_000).await?;
    let worker = &mut world.workers[index];
    pause(rng, 1_200, 1_500).await;
    let delay = Duration::from_millis(rng.random_range(100..200));
    worker.database.set(Line::Slow(delay));
    pause(rng, 1_000, 1_500).await;
    worker.signal(Signal::SIGSTOP)?;
    worker.database.set(Line::Open);
    let past_the_sweep = LEASE + Duration::from_millis(rng.random_range(1_500..3_000));
    sleep(past_the_sweep).await;
    worker.signal(Signal::SIGCONT)?;
    pause(rng, 200, 500).await;
    Ok(Vec::new())
}

pub(crate) async fn freeze_api(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let api = one(&mut world.apis, rng);
    api.signal(Signal::SIGSTOP)?;
    pause(rng, 200, 1_500).await;
    api.signal(Signal::SIGCONT)?;
    Ok(Vec::new())
}

pub(crate) async fn rolling_restart(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let (binary, folder) = world.start_place();
    let mut members: Vec<&mut Member> = world.members().collect();
    members.shuffle(rng);
    for member in members {
        block_in_place(|| -> Result<()> {
            member.terminate()?;
            member.start(&binary, &folder, &[])
        })?;
    }
    Ok(Vec::new())
}

pub(crate) async fn wrong_clock(
    world: &mut World,
    machine: &Machine,
    offset: &str,
    rng: &mut StdRng,
) -> Result<Vec<String>> {
    let library = machine.fake_clock.as_ref().map_err(String::as_str)?;
    let library = library.to_string_lossy();
    let (binary, folder) = world.start_place();
    let members = if rng.random() {
        &mut world.apis
    } else {
        &mut world.workers
    };
    let member = one(members, rng);
    let settings = [
        ("LD_PRELOAD", &*library),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    block_in_place(|| -> Result<()> {
        member.terminate()?;
        member.start(&binary, &folder, &settings)
    })?;
    pause(rng, 800, 1_500).await;
    block_in_place(|| -> Result<()> {
        member.terminate()?;
        member.start(&binary, &folder, &[])
    })?;
    Ok(Vec::new())
}
