//! Jobs that harm who runs them.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client, resources::memory};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{recorder::Recorder, watch::Unmet, world::World};

/// Three crashes, each found after a lease and a sweep.
const POISON_LIMIT: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(20);

/// What a worker may hold while programs write without an end into it.
const MOST_MEMORY: u64 = 400 << 20;

/// How many jobs a burden is.
const BURDEN: u32 = 10;

/// For how long the others stand still while a worker takes its burden: within their leases.
const OTHERS_WAIT: Duration = Duration::from_millis(600);

fn submission(recorder: &Recorder, name: &str, payload: Value, max_attempts: u32) -> Value {
    let kind = if payload["command"].is_string() {
        "command"
    } else {
        "sleep"
    };
    json!({
        "kind": kind,
        "payload": payload,
        "max_attempts": max_attempts,
        "metadata": {"round": recorder.round, "key": format!("{}-{name}", recorder.round)},
    })
}

/// Gives one worker jobs that run for so many milliseconds, from the shortest to the longest: the
/// others stand still while it takes them.
pub(crate) async fn burden(
    world: &mut World,
    recorder: &Recorder,
    index: usize,
    milliseconds: Range<u32>,
) -> Result<()> {
    let client = Client::new(recorder.apis[0])?;
    let others = |world: &mut World, signal| -> Result<()> {
        let all = world.workers.iter_mut().enumerate();
        for (_, worker) in all.filter(|(other, _)| *other != index) {
            worker.signal(signal)?;
        }
        Ok(())
    };
    others(world, Signal::SIGSTOP)?;
    let mut given = Ok(());
    for number in 0..BURDEN {
        let step = (milliseconds.end - milliseconds.start) / BURDEN;
        let seconds = f64::from(milliseconds.start + number * step) / 1_000.0;
        let payload = json!({"command": "mark", "input": format!("{seconds} 0\n")});
        let mut job = submission(recorder, &format!("burden-{number}"), payload, 5);
        job["priority"] = json!("high");
        given = given.and(client.submit(&job).await.map(drop));
    }
    sleep(OTHERS_WAIT).await;
    others(world, Signal::SIGCONT)?;
    given
}

/// One job kills each worker that runs it: it fails after three, and those beside it succeed.
pub(crate) async fn poison(world: &mut World, recorder: &Recorder) -> Result<Vec<String>> {
    let client = Client::new(recorder.apis[0])?;
    let payload = json!({"command": "murder"});
    let poison = client
        .submit(&submission(recorder, "poison", payload, 10))
        .await?;
    let mut neighbours = Vec::new();
    for number in 0..6 {
        let name = format!("neighbour-{number}");
        let neighbour = submission(recorder, &name, json!({"ms": 500}), 3);
        neighbours.push(client.submit(&neighbour).await?);
    }
    let begun = Instant::now();
    let mut job = client.job(&poison).await?;
    while begun.elapsed() < POISON_LIMIT && job["finished_at"].is_null() {
        // What restarts workers in production.
        world.heal()?;
        sleep(Duration::from_millis(50)).await;
        job = client.job(&poison).await?;
    }
    let mut unmet = Unmet::default();
    unmet.expect(
        job["error"]["type"].to_string().contains("crash-limit"),
        || format!("the poison: {job}"),
    );
    for id in neighbours {
        let job = client.wait_for_end(&id, SOON).await?;
        unmet.expect(job["state"] == "succeeded", || {
            format!("a neighbour: {job}")
        });
    }
    Ok(unmet.0)
}

/// Programs that want all memory and that write without an end: they fail, and their worker lives.
pub(crate) async fn hogs(world: &mut World, recorder: &Recorder) -> Result<Vec<String>> {
    let client = Client::new(recorder.apis[0])?;
    let mut unmet = Unmet::default();
    let mut jobs = Vec::new();
    for (number, command) in ["chatter", "glutton", "chatter", "glutton"]
        .iter()
        .enumerate()
    {
        let name = format!("{command}-{number}");
        let job = submission(recorder, &name, json!({"command": command}), 1);
        jobs.push(client.submit(&job).await?);
    }
    for id in jobs {
        let job = client.wait_for_end(&id, SOON).await?;
        unmet.expect(job["state"] == "failed", || format!("a hog: {job}"));
    }
    for worker in world.workers.iter().filter_map(|worker| worker.product()) {
        let held = memory(worker.process_id())?;
        unmet.expect(held < MOST_MEMORY, || {
            format!("a worker holds {held} bytes")
        });
    }
    Ok(unmet.0)
}

/// A program that never ends is ended by its time limit.
pub(crate) async fn endless(recorder: &Recorder) -> Result<Vec<String>> {
    let client = Client::new(recorder.apis[0])?;
    let mut endless = submission(recorder, "endless", json!({"command": "forever"}), 1);
    endless["timeout_s"] = json!(1);
    let id = client.submit(&endless).await?;
    let job = client.wait_for_end(&id, SOON).await?;
    let mut unmet = Unmet::default();
    unmet.expect(job["error"]["type"].to_string().contains("timeout"), || {
        format!("the endless one: {job}")
    });
    Ok(unmet.0)
}
