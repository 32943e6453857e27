//! Jobs that harm who runs them.

use std::time::{Duration, Instant};

use coatcheck_tests::{Result, client::Client, resources::memory};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{recorder::Recorder, watch::Unmet, world::World};

/// Three crashes, each found after a lease and a sweep.
const POISON_LIMIT: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(20);

/// What a worker may hold while programs write without an end into it.
const MOST_MEMORY: u64 = 400 << 20;

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
