//! Every failure point there is, with a crash, an error and a delay, under clients that use
//! everything: whatever happens, what was accepted ends, and its end stays.
//!
//! All points are armed at once, each for one call. A process dies at the first that it comes to
//! and is started anew without it, so that one deployment lives through all of them.

mod clients;

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use coatcheck_tests::{
    deployment::{Deployment, Mode, Plan},
    product::{Product, binary, run_to_end},
};

use self::clients::Clients;
use crate::in_both_modes;

in_both_modes!(every_point_can_crash_fail_and_dawdle_and_nothing_is_lost);

const VARIABLE: &str = "COATCHECK_FAILPOINTS";

/// How long processes may live without coming to a point before they are told to end: some points
/// are only there.
const QUIET: Duration = Duration::from_secs(4);
/// How long it may take to crash everywhere. Like the next a bound for a busy machine: what has
/// come to every point goes on at once.
const CRASHING: Duration = Duration::from_secs(300);
/// How long processes may live with errors, or with delays.
const LIVING: Duration = Duration::from_secs(200);
/// How often a worker with jobs in hand is killed meanwhile: less often than rescuing them takes,
/// when that fails at each of its points first.
const KILLED_EVERY: Duration = Duration::from_secs(15);
/// Passed only once that has been.
const SUSPECTS_CLAIMED: &str = "store.claim_suspects.after";
/// How many lives more they have for what comes once in each.
const MORE_LIVES: usize = 5;
/// How long a process may take over its end.
const ENDING: Duration = Duration::from_secs(40);

/// What no process comes to here: it is done a minute after the start, and then each minute.
const NOT_REACHED: [&str; 2] = [
    "store.delete_ended_leases.before",
    "store.delete_ended_leases.after",
];

/// What only a process comes to that has both the API and the worker.
const HANDED_OVER: [&str; 2] = [
    "store.insert_and_claim.before",
    "store.insert_and_claim.after",
];

/// Beside them the queue is away now and then, or nothing would be asked of the store in its place.
const QUEUE_AWAY: &str = "seed=4,queue.pop.before=error@4%,queue.depth.before=error@20%";

async fn every_point_can_crash_fail_and_dawdle_and_nothing_is_lost(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .config(
            "[commands.large]\nprogram = \"/usr/bin/head\"\nargs = [\"-c\", \"400000\", \"/dev/zero\"]\n\
             [commands.talkative]\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"echo a line >&2\"]\n",
        )
        .set("COATCHECK_WORKER__LEASE_S", 2)
        .set("COATCHECK_KEEPERS__SWEEP_S", 0.2)
        .set("COATCHECK_KEEPERS__HINT_GRACE_S", 0.5)
        // So few that hints have to wait.
        .set("COATCHECK_WORKER__CONCURRENCY", 2)
        .set("COATCHECK_AUTH__MODE", "keys")
        .set("COATCHECK_AUTH__ADMIN_KEY", clients::KEY)
        // Without a quota nobody counts what is unfinished. One batch is over it by itself.
        .set("COATCHECK_LIMITS__UNFINISHED_JOBS", clients::QUOTA)
        .start()
        .await
        .unwrap();
    let points = points(&deployment, mode);
    assert!(points.len() > 100, "only {points:?}");
    let clients = Clients::start(deployment.apis()[0].address());

    let crashed = crash_everywhere(&mut deployment, &clients, &points).await;
    let failed = live_with(&mut deployment, &clients, &points, "error").await;
    let dawdled = live_with(&mut deployment, &clients, &points, "delay:300ms").await;

    deployment.set(VARIABLE, "");
    keep_up(&mut deployment, &clients);
    let told = clients.finish(deployment.client().unwrap()).await;
    for (what, passed) in [("crash", crashed), ("error", failed), ("delay", dawdled)] {
        let missed: Vec<&String> = points
            .iter()
            .filter(|point| !passed.contains(*point) && !NOT_REACHED.contains(&point.as_str()))
            .collect();
        assert!(missed.is_empty(), "no {what} at {missed:?}");
    }
    #[expect(clippy::print_stdout, reason = "nextest shows it where it is asked to")]
    {
        println!("{mode:?}: {} points, {told}", points.len());
    }
}

/// The points that the program names, and that it comes to in this mode.
fn points(deployment: &Deployment, mode: Mode) -> BTreeSet<String> {
    let (environment, folder) = (deployment.environment(), deployment.folder());
    let listed = run_to_end(&binary().unwrap(), &["failure-points"], environment, folder).unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines()
        .filter(|point| mode == Mode::Embedded || !HANDED_OVER.contains(point))
        .map(str::to_owned)
        .collect()
}

fn armed<'a>(points: impl Iterator<Item = &'a String>, action: &str) -> String {
    let rules: Vec<String> = points.map(|point| format!("{point}={action}")).collect();
    format!("{QUEUE_AWAY},{}", rules.join(","))
}

/// Adds the points at which any process of this deployment has done `action`, by the logs that are
/// there: another process on the same port writes over its predecessor's.
fn note_passed(points: &mut BTreeSet<String>, folder: &Path, action: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| line.contains("a failure point"));
        points.extend(lines.filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let did = line["action"].as_str()?.starts_with(action);
            did.then(|| line["point"].as_str().map(str::to_owned))?
        }));
    }
}

/// Lives through a crash at every point.
async fn crash_everywhere(
    deployment: &mut Deployment,
    clients: &Clients,
    points: &BTreeSet<String>,
) -> BTreeSet<String> {
    let (begun, mut last_crash) = (Instant::now(), Instant::now());
    let mut crashed = BTreeSet::new();
    loop {
        let before = crashed.len();
        note_passed(&mut crashed, deployment.folder(), "Crash");
        if crashed.len() > before {
            last_crash = Instant::now();
        }
        if crashed.len() + NOT_REACHED.len() >= points.len() || begun.elapsed() > CRASHING {
            return crashed;
        }
        let left = points.iter().filter(|point| !crashed.contains(*point));
        deployment.set(VARIABLE, armed(left, "crash@1"));
        if last_crash.elapsed() > QUIET {
            tell_to_end(deployment);
            last_crash = Instant::now();
        }
        keep_up(deployment, clients);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lives with what every point does to its first calls, and with workers that are killed until
/// there have been suspects.
async fn live_with(
    deployment: &mut Deployment,
    clients: &Clients,
    points: &BTreeSet<String>,
    action: &str,
) -> BTreeSet<String> {
    let name = if action == "error" { "Error" } else { "Delay" };
    // No process starts without the time.
    let (clock, others): (Vec<&String>, Vec<&String>) = points
        .iter()
        .partition(|point| point.starts_with("store.now."));
    let late = armed(clock.into_iter(), &format!("{action}@2-3"));
    let early = armed(others.into_iter(), &format!("{action}@1-2"));
    deployment.set(VARIABLE, format!("{late},{early}"));
    end_all(deployment);
    keep_up(deployment, clients);
    let (begun, mut done) = (Instant::now(), BTreeSet::new());
    let mut next_kill = begun + Duration::from_secs(2);
    loop {
        keep_up(deployment, clients);
        note_passed(&mut done, deployment.folder(), name);
        let kill = !done.contains(SUSPECTS_CLAIMED) && Instant::now() > next_kill;
        if kill && clients.something_runs().await {
            let worker = deployment.workers().pop();
            worker.map(Product::kill).transpose().unwrap();
            next_kill = Instant::now() + KILLED_EVERY;
        }
        // What is only there when a process ends is passed below.
        if done.len() + NOT_REACHED.len() + 2 >= points.len() || begun.elapsed() > LIVING {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    end_all(deployment);
    // Where a call is made once in a life, its second point comes in another.
    for _ in 0..MORE_LIVES {
        note_passed(&mut done, deployment.folder(), name);
        if done.len() + NOT_REACHED.len() >= points.len() {
            break;
        }
        let left = points.iter().filter(|point| !done.contains(*point));
        deployment.set(VARIABLE, armed(left, &format!("{action}@1")));
        keep_up(deployment, clients);
        tokio::time::sleep(Duration::from_secs(1)).await;
        end_all(deployment);
    }
    note_passed(&mut done, deployment.folder(), name);
    done
}

/// Starts what does not run. One that dies before it is ready is started again the next time.
fn keep_up(deployment: &mut Deployment, clients: &Clients) {
    let mut changed = !matches!(deployment.revive(), Ok(0));
    if deployment.apis().is_empty() {
        changed = true;
        drop(deployment.start_api());
    }
    if deployment.mode() == Mode::Distributed && deployment.workers().is_empty() {
        drop(deployment.start_worker());
    }
    if changed {
        clients.move_to(deployment);
    }
}

fn tell_to_end(deployment: &mut Deployment) {
    for process in deployment.apis() {
        drop(process.terminate());
    }
    for process in deployment.workers() {
        drop(process.terminate());
    }
}

fn end_all(deployment: &mut Deployment) {
    tell_to_end(deployment);
    while let Some(mut process) = deployment.workers().pop() {
        process.wait(ENDING).unwrap();
    }
    while let Some(mut process) = deployment.apis().pop() {
        process.wait(ENDING).unwrap();
    }
}
