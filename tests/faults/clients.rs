//! Who uses the product while it is harmed: submitters, pollers, cancellers and retriers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use super::{
    history::{Answer, Request},
    recorder::{Known, Recorder},
};

const SUBMITTERS: u64 = 5;
const POLLERS: u64 = 3;

/// How long a submission is repeated once the round is over, before it counts as refused.
const LAST_TRIES: Duration = Duration::from_secs(20);

/// The clients of a round.
pub(crate) struct Clients(JoinSet<Result<()>>);

impl Clients {
    /// Lets all of them begin.
    pub(crate) fn start(recorder: &Arc<Recorder>, seed: u64, jobs: Jobs) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let keys = Arc::new(AtomicU64::new(0));
        let own_rng =
            |number: u64| StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number));
        for number in 0..SUBMITTERS {
            let client = Client::new(recorder.apis[0])?;
            let submitter = Submitter {
                recorder: recorder.clone(),
                client,
                keys: keys.clone(),
                jobs,
            };
            tasks.spawn(submitter.run(own_rng(number)));
        }
        for number in 0..POLLERS {
            let client = Client::new(recorder.apis[0])?;
            tasks.spawn(poll(recorder.clone(), client, own_rng(100 + number)));
        }
        let client = Client::new(recorder.apis[0])?;
        tasks.spawn(cancel(recorder.clone(), client.clone(), own_rng(200)));
        tasks.spawn(retry(recorder.clone(), client, own_rng(201)));
        Ok(Self(tasks))
    }

    /// Waits until every submission that was begun has been answered, or given up.
    pub(crate) async fn stop(mut self, recorder: &Recorder) -> Result<()> {
        recorder.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.0.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// What jobs a round is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jobs {
    /// The longest that one runs, in milliseconds.
    pub(crate) longest_ms: u32,
    /// The longest pause of a submitter between two jobs, in milliseconds.
    pub(crate) pause_ms: u64,
}

struct Submitter {
    recorder: Arc<Recorder>,
    client: Client,
    keys: Arc<AtomicU64>,
    jobs: Jobs,
}

impl Submitter {
    async fn run(self, mut rng: StdRng) -> Result<()> {
        while !self.recorder.is_over() {
            let number = self.keys.fetch_add(1, Ordering::Relaxed);
            let key = format!("{}-{number}", self.recorder.round);
            let submission = submission(&mut rng, &self.recorder.round, &key, self.jobs);
            self.submit(&mut rng, &key, &submission).await?;
            sleep(Duration::from_millis(
                rng.random_range(0..=self.jobs.pause_ms),
            ))
            .await;
        }
        Ok(())
    }

    /// Repeats it, at one API or the other, until it is accepted; then perhaps once more.
    async fn submit(&self, rng: &mut StdRng, key: &str, submission: &Value) -> Result<()> {
        let mut over_since: Option<Instant> = None;
        loop {
            let api = rng.random_range(0..self.recorder.apis.len());
            let ask = |api| {
                let request = Request::Submit {
                    key: key.to_owned(),
                };
                self.recorder
                    .ask(&self.client, api, request, Some(submission), None)
            };
            let answer = if rng.random_ratio(1, 20) {
                // A client that is in a hurry asks everywhere at once.
                let others: Vec<usize> = (0..self.recorder.apis.len()).collect();
                let mut answers =
                    futures::future::try_join_all(others.into_iter().map(&ask)).await?;
                answers.sort_by_key(|answer| answer.status().unwrap_or(u16::MAX));
                answers.swap_remove(0)
            } else {
                ask(api).await?
            };
            if matches!(answer.status(), Some(200 | 202)) {
                if rng.random_ratio(1, 8) {
                    ask(api).await?;
                }
                return Ok(());
            }
            if self.recorder.is_over() {
                let since = *over_since.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_TRIES {
                    self.recorder.give_up(key);
                    return Ok(());
                }
            }
            sleep(Duration::from_millis(rng.random_range(20..150))).await;
        }
    }
}

/// A job of any sort.
fn submission(rng: &mut StdRng, round: &str, key: &str, jobs: Jobs) -> Value {
    let ms = match rng.random_range(0..10) {
        0..=3 => 0,
        4..=8 => rng.random_range(0..300),
        _ => rng.random_range(0..jobs.longest_ms.max(1)),
    };
    // Beyond what lies in a job's row: its run reads it first.
    let rest = if rng.random_ratio(1, 8) {
        "x".repeat(40_000)
    } else {
        String::new()
    };
    let mark = |fails: u32| {
        // One that is tried again and again is short each time, or it alone would take half a minute.
        let ms = if fails > 0 { ms.min(300) } else { ms };
        let seconds = f64::from(ms) / 1_000.0;
        json!({"command": "mark", "input": format!("{seconds} {fails}\n{rest}")})
    };
    let (kind, payload) = match rng.random_range(0..20) {
        0..=3 => ("sleep", json!({"ms": ms})),
        4..=16 => ("command", mark(0)),
        17 | 18 => ("command", mark(1)),
        // It fails until it is out of attempts, and again when it is sent round again.
        _ => ("command", mark(1_000)),
    };
    let priority = ["high", "normal", "low"].choose(rng);
    let mut submission = json!({
        "kind": kind,
        "payload": payload,
        "priority": priority,
        "metadata": {"round": round, "key": key},
        // Enough for a round's crashes to end no job that would have succeeded: what is looked for
        // is what gets lost.
        "max_attempts": rng.random_range(2..=5),
    });
    if rng.random_ratio(1, 20) {
        submission["delay_s"] = json!(1);
    }
    submission
}

async fn poll(recorder: Arc<Recorder>, client: Client, mut rng: StdRng) -> Result<()> {
    while !recorder.is_over() {
        sleep(Duration::from_millis(rng.random_range(5..40))).await;
        let known = recorder.known();
        let Some(Known { id, state }) = known.choose(&mut rng).cloned() else {
            continue;
        };
        let api = rng.random_range(0..recorder.apis.len());
        if state == "succeeded" && rng.random_ratio(1, 2) {
            let request = Request::Result { id };
            recorder.ask(&client, api, request, None, None).await?;
        } else {
            let prefer = rng.random_ratio(1, 5).then_some("wait=1");
            let request = Request::Get { id };
            recorder.ask(&client, api, request, None, prefer).await?;
        }
    }
    Ok(())
}

async fn cancel(recorder: Arc<Recorder>, client: Client, mut rng: StdRng) -> Result<()> {
    while !recorder.is_over() {
        sleep(Duration::from_millis(rng.random_range(20..120))).await;
        // Mostly one that is new, so that it still waits or runs.
        let known = recorder.known();
        let newest = &known[known.len().saturating_sub(4)..];
        if let Some(job) = newest.choose(&mut rng) {
            let api = rng.random_range(0..recorder.apis.len());
            let request = Request::Cancel { id: job.id.clone() };
            recorder.ask(&client, api, request, None, None).await?;
        }
    }
    Ok(())
}

async fn retry(recorder: Arc<Recorder>, client: Client, mut rng: StdRng) -> Result<()> {
    while !recorder.is_over() {
        sleep(Duration::from_millis(rng.random_range(50..250))).await;
        let known = recorder.known();
        let over: Vec<&Known> = known
            .iter()
            .filter(|job| matches!(job.state.as_str(), "failed" | "cancelled"))
            .collect();
        if let Some(job) = over.choose(&mut rng) {
            let api = rng.random_range(0..recorder.apis.len());
            let request = Request::Retry { id: job.id.clone() };
            recorder.ask(&client, api, request, None, None).await?;
        }
    }
    Ok(())
}

/// Submits a job with nothing to do and waits for its end, however often it has to ask; how long
/// that took, none where it did not come.
pub(crate) async fn probe(
    recorder: &Recorder,
    api: usize,
    number: u64,
    limit: Duration,
) -> Result<Option<Duration>> {
    let client = Client::new(recorder.apis[api])?;
    let key = format!("{}-probe-{number}", recorder.round);
    let submission = json!({
        "kind": "sleep",
        "payload": {"ms": 0},
        "priority": "high",
        "metadata": {"round": recorder.round, "key": key},
    });
    let begun = Instant::now();
    let mut id = None;
    while begun.elapsed() < limit {
        let (request, body) = match &id {
            None => (Request::Submit { key: key.clone() }, Some(&submission)),
            Some(id) => (
                Request::Get {
                    id: String::clone(id),
                },
                None,
            ),
        };
        let answer = recorder.ask(&client, api, request, body, None).await?;
        if let (Some(200 | 202), Some(job)) = (answer.status(), answer.job()) {
            if job.is_terminal() {
                return Ok(Some(begun.elapsed()));
            }
            id = Some(job.id.clone());
        }
        if !matches!(answer, Answer::Whole { .. }) || id.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(None)
}

/// A pause of a length that the seed decides.
pub(crate) async fn pause(rng: &mut impl Rng, from_ms: u64, to_ms: u64) {
    sleep(Duration::from_millis(rng.random_range(from_ms..=to_ms))).await;
}
