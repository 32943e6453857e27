//! One round: clients at work, a fault in their midst, healing, and the oracle's word on it all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::sleep;

use super::{
    clients::{Clients, Jobs, pause, probe},
    fault::Fault,
    history::{Execution, History, JobSeen, Request},
    machine::Machine,
    oracle::{Promise, Violation, judge},
    recorder::Recorder,
    world::World,
};

/// How long a job that is submitted once all is healed may take.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// How long it may take until every job has come to its end.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// How long it may take at most where a lease, a sweep and the longest job are all that is waited
/// for.
const SLOW: Duration = Duration::from_secs(15);

/// How long the list may be refused once all is healed.
const LIST_LIMIT: Duration = Duration::from_secs(20);

/// What the clients submit.
const JOBS: Jobs = Jobs {
    longest_ms: 1_000,
    pause_ms: 60,
};

/// How many items a page of the list has at most.
const PAGE: usize = 1_000;

/// What workers count that is of interest here.
pub(crate) const COUNTED: [(&str, &str); 5] = [
    ("stale results refused", "coatcheck_stale_results_total"),
    ("hints pushed again", "coatcheck_hints_repushed_total"),
    ("jobs rescued", "coatcheck_rescued_total"),
    ("leases lost", "coatcheck_lease_losses_total"),
    ("claims without Redis", "coatcheck_fallback_claims_total"),
];

/// What a round has shown.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
    pub(crate) executions: usize,
    pub(crate) requests: usize,
    pub(crate) violations: Vec<Violation>,
    /// From healing until a job that was submitted then had come to its end, through each API.
    pub(crate) recovery: Vec<Duration>,
    /// From healing until every job had come to its end.
    pub(crate) drained: Duration,
    /// [`COUNTED`], by its first name.
    pub(crate) counted: BTreeMap<&'static str, f64>,
}

impl Outcome {
    /// Of a round that was not played to its end.
    pub(crate) fn broken(fault: Fault, seed: u64, what: String) -> Self {
        Self {
            fault,
            seed,
            jobs: 0,
            executions: 0,
            requests: 0,
            violations: vec![Violation {
                promise: Promise::Lost,
                what,
            }],
            recovery: Vec::new(),
            drained: Duration::ZERO,
            counted: BTreeMap::new(),
        }
    }
}

/// A round, and its jobs as they stood in the end.
pub(crate) struct Played {
    pub(crate) outcome: Outcome,
    pub(crate) jobs: Vec<JobSeen>,
}

/// Plays a round.
pub(crate) async fn play(
    world: &mut World,
    machine: &Machine,
    fault: Fault,
    seed: u64,
    epoch: Instant,
) -> Result<Played> {
    let mut rng = StdRng::seed_from_u64(seed);
    let round = format!("{seed}-{}", epoch.elapsed().as_millis());
    let apis = world.apis.iter().map(|api| api.address).collect();
    let recorder = Recorder::new(epoch, round, apis);
    let before = counted(world);
    // Programs that are still writing append to what is there.
    fs::write(world.executions(), "")?;
    let clients = Clients::start(&recorder, seed, JOBS)?;
    pause(&mut rng, 300, 700).await;

    let struck = fault.strike(world, machine, &recorder, &mut rng).await;
    let died = if fault.kills() {
        Vec::new()
    } else {
        world.died()?
    };
    world.heal()?;
    let unmet = struck?;

    let healed_at = Instant::now();
    let mut recovery = Vec::new();
    for api in 0..world.apis.len() {
        recovery.extend(probe(&recorder, api, api as u64, RECOVERY_LIMIT).await?);
    }
    pause(&mut rng, 100, 300).await;
    clients.stop(&recorder).await?;
    let slow = drain(&recorder).await?;
    let drained = healed_at.elapsed();
    read_results(&recorder).await?;
    let finally = listed(recorder.apis[0], &of_round(&recorder, "")).await?;

    let (exchanges, never_accepted) = recorder.take();
    let history = History {
        executions: executions(world, epoch, &finally)?,
        exchanges,
        jobs: finally,
        never_accepted,
        died,
        excuses: fault.excuses(),
    };
    let mut violations = judge(&history);
    if recovery.len() < world.apis.len() {
        violations.push(Violation {
            promise: Promise::Lost,
            what: "a job that was submitted after healing".to_owned(),
        });
    }
    violations.extend(slow.into_iter().map(|what| Violation {
        promise: Promise::Slow,
        what,
    }));
    violations.extend(unmet.into_iter().map(|what| Violation {
        promise: Promise::Expectation,
        what,
    }));
    if !violations.is_empty() {
        world.keep_note(&format!("history-{seed}"), &format!("{history:#?}"))?;
    }
    let after = counted(world);
    let outcome = Outcome {
        fault,
        seed,
        jobs: history.jobs.len(),
        executions: history.executions.len(),
        requests: history.exchanges.len(),
        violations,
        recovery,
        drained,
        counted: after
            .into_iter()
            // A worker that was killed has taken its counts along.
            .map(|(name, count)| (name, (count - before[name]).max(0.0)))
            .collect(),
    };
    Ok(Played {
        outcome,
        jobs: history.jobs,
    })
}

fn counted(world: &World) -> BTreeMap<&'static str, f64> {
    COUNTED
        .into_iter()
        .map(|(name, metric)| (name, world.workers_metric(metric)))
        .collect()
}

/// Waits until every job of the round has come to its end; those that took too long, with their
/// attempts. What has not ended is the oracle's to find.
async fn drain(recorder: &Arc<Recorder>) -> Result<Vec<String>> {
    let begun = Instant::now();
    let client = Client::new(recorder.apis[0])?;
    let mut slow = BTreeMap::new();
    while begun.elapsed() < DRAIN_LIMIT {
        let open = of_round(recorder, "&state=scheduled,queued,running");
        let waiting = listed(recorder.apis[0], &open).await?;
        if waiting.is_empty() {
            break;
        }
        if begun.elapsed() > SLOW {
            for job in waiting {
                let attempts = client.get(&format!("/v1/jobs/{}/attempts", job.id)).await?;
                slow.insert(job.id.clone(), format!("{job:?} {}", attempts.text()));
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(slow.into_values().collect())
}

/// Every job of every round of a world.
pub(crate) async fn all_jobs(world: &World) -> Result<Vec<JobSeen>> {
    listed(world.apis[0].address, "").await
}

fn of_round(recorder: &Recorder, filter: &str) -> String {
    format!("&metadata.round={}{filter}", recorder.round)
}

/// The jobs that the product knows, whoever was told of them.
async fn listed(api: SocketAddr, filter: &str) -> Result<Vec<JobSeen>> {
    let client = Client::new(api)?;
    let begun = Instant::now();
    let mut jobs = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/jobs?limit={PAGE}{filter}{cursor}");
        let answer = client.get(&path).await?;
        if answer.status == 503 && begun.elapsed() < LIST_LIMIT {
            // The machine is busy: what was healed is asked again.
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        if !matches!(answer.status, 200 | 206) {
            return Err(
                format!("the list was answered {}: {}", answer.status, answer.text()).into(),
            );
        }
        let page = answer.json();
        jobs.extend(
            page["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(JobSeen::read),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(jobs),
        }
    }
}

/// Reads every result once more, when nothing can change any more.
async fn read_results(recorder: &Recorder) -> Result<()> {
    let client = Client::new(recorder.apis[0])?;
    let succeeded = of_round(recorder, "&state=succeeded");
    for job in listed(recorder.apis[0], &succeeded).await? {
        let request = Request::Result { id: job.id };
        recorder.ask(&client, 0, request, None, None).await?;
    }
    Ok(())
}

/// What the programs have noted about these jobs.
fn executions(world: &World, epoch: Instant, jobs: &[JobSeen]) -> Result<Vec<Execution>> {
    // None where no program has run yet.
    let notes = fs::read_to_string(world.executions()).unwrap_or_default();
    let offset = uptime()?.saturating_sub(epoch.elapsed());
    let ids: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let mut executions: BTreeMap<(String, u64, u64), Execution> = BTreeMap::new();
    for line in notes.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [event, id, attempt, process, uptime] = words.as_slice() else {
            // A program that was killed in the middle of a line.
            continue;
        };
        if !ids.contains(id) {
            continue;
        }
        let at = Duration::from_secs_f64(uptime.parse::<f64>()?).saturating_sub(offset);
        let (attempt, process) = (attempt.parse()?, process.parse()?);
        let execution = executions
            .entry(((*id).to_owned(), attempt, process))
            .or_insert_with(|| Execution {
                id: (*id).to_owned(),
                attempt,
                process,
                began_at: at,
                ended_at: None,
            });
        if *event == "end" {
            execution.ended_at = Some(at);
        }
    }
    Ok(executions.into_values().collect())
}

/// How long the machine has been up: what programs note as the time.
fn uptime() -> Result<Duration> {
    let text = fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().unwrap_or_default();
    Ok(Duration::from_secs_f64(seconds.parse()?))
}
