//! More than can be taken in.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client, resources::memory};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::{
    Shown,
    held::{Most, Watch},
};
use crate::{
    report::quantiles,
    watch::Unmet,
    world::{Plan, World},
};

const LASTS: Duration = Duration::from_secs(4);

/// How fast a refusal is, but for one in a hundred.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

const QUEUE_DEPTH: usize = 300;

/// The queue's depth is looked up once a second: that much may come in meanwhile.
const MOST_OVER: usize = 20_000;

/// What the flood may cost an API in memory.
const MOST_MEMORY: u64 = 128 << 20;

/// How many connections an API lets in where there may be too many.
const FEW_CONNECTIONS: usize = 100;

/// How many connections to the database a process keeps.
const STORE_CONNECTIONS: usize = 4;

/// How many connections an API lets in beyond those, to tell them that they are too many.
const TOLD: usize = 256;

/// Sockets that are none of a client's and none of the database's: Redis, the listener, the
/// runtime's own.
const OWN_SOCKETS: usize = 24;

/// Who asks for more than there is.
struct Flood {
    name: &'static str,
    /// What those are answered for whom there is no room.
    refusal: u16,
    clients: usize,
    /// How long each waits after an answer.
    pause: Duration,
    settings: Vec<(&'static str, String)>,
}

pub(super) async fn play(binary: &Path) -> Result<Shown> {
    let mut shown = Shown::default();
    for flood in floods() {
        flood.play(binary, &mut shown).await?;
    }
    Ok(shown)
}

fn floods() -> [Flood; 3] {
    let settings = |settings: &[(&'static str, usize)]| {
        let own = [
            ("COATCHECK_LIMITS__CONNECTIONS", FEW_CONNECTIONS),
            ("COATCHECK_WORKER__CONCURRENCY", 1),
            ("COATCHECK_STORE__CONNECTIONS", STORE_CONNECTIONS),
        ];
        let all = settings.iter().chain(&own);
        all.map(|(name, value)| (*name, value.to_string()))
            .collect()
    };
    [
        Flood {
            name: "a full queue",
            refusal: 503,
            clients: 64,
            pause: Duration::ZERO,
            settings: settings(&[("COATCHECK_LIMITS__QUEUE_DEPTH", QUEUE_DEPTH)]),
        },
        Flood {
            name: "a caller over its rate",
            refusal: 429,
            clients: 64,
            pause: Duration::ZERO,
            settings: settings(&[
                ("COATCHECK_LIMITS__RATE_PER_S", 50),
                ("COATCHECK_LIMITS__RATE_BURST", 50),
            ]),
        },
        Flood {
            name: "too many connections",
            refusal: 503,
            clients: 600,
            pause: Duration::from_secs(1),
            settings: settings(&[]),
        },
    ]
}

/// What clients were answered.
#[derive(Default)]
struct Answers {
    accepted: Vec<String>,
    refused: Vec<Duration>,
    others: Vec<String>,
}

impl Flood {
    async fn play(&self, binary: &Path, shown: &mut Shown) -> Result<()> {
        let plan = Plan {
            settings: self.settings.clone(),
            processes: Some((1, 1)),
            ..Plan::default()
        };
        let world = World::start(binary, plan).await?;
        let api = world.apis[0]
            .product()
            .ok_or("the API does not run")?
            .process_id();
        let before = memory(api)?;
        let watch = Watch::start(&world, api).await?;
        let answers = self.ask(&world).await?;
        let most = watch.stop().await?;
        let grown = memory(api)?.saturating_sub(before);
        let mut unmet = Unmet::default();
        self.judge(&answers, most, grown, &mut unmet);
        self.accepted_is_there(&world, &answers, &mut unmet).await?;
        shown.rows.extend(self.rows(answers, most, grown));
        shown.unmet.extend(unmet.0);
        Ok(())
    }

    async fn ask(&self, world: &World) -> Result<Answers> {
        let mut clients = JoinSet::new();
        for _ in 0..self.clients {
            let client = Client::new(world.apis[0].address)?;
            clients.spawn(submit_all_the_time(client, self.refusal, self.pause));
        }
        let mut all = Answers::default();
        for answers in clients.join_all().await {
            let answers = answers?;
            all.accepted.extend(answers.accepted);
            all.refused.extend(answers.refused);
            all.others.extend(answers.others);
        }
        all.refused.sort_unstable();
        Ok(all)
    }

    fn judge(&self, answers: &Answers, most: Most, grown: u64, unmet: &mut Unmet) {
        let name = self.name;
        let p99 = answers.refused.get(answers.refused.len() * 99 / 100);
        unmet.expect(p99.is_some_and(|time| *time < REFUSED_WITHIN), || {
            format!("{name}: refused after {p99:?} (p99)")
        });
        unmet.expect(answers.others.is_empty(), || {
            format!("{name}: answered {}", answers.others.join(", "))
        });
        unmet.expect(answers.accepted.len() < QUEUE_DEPTH + MOST_OVER, || {
            format!("{name}: {} were accepted", answers.accepted.len())
        });
        unmet.expect(grown < MOST_MEMORY, || {
            format!("{name}: {grown} bytes more")
        });
        let sockets = FEW_CONNECTIONS + TOLD + STORE_CONNECTIONS + OWN_SOCKETS;
        unmet.expect(most.sockets <= sockets, || {
            format!("{name}: the API held {} sockets", most.sockets)
        });
        // An API and a worker.
        unmet.expect(most.database <= 2 * STORE_CONNECTIONS as i64, || {
            format!("{name}: {} connections to the database", most.database)
        });
    }

    /// What was accepted can still be read.
    async fn accepted_is_there(
        &self,
        world: &World,
        answers: &Answers,
        unmet: &mut Unmet,
    ) -> Result<()> {
        let client = Client::new(world.apis[0].address)?;
        let step = answers.accepted.len().div_ceil(20).max(1);
        for id in answers.accepted.iter().step_by(step) {
            // Another rate holds for looking than for being believed.
            let answer = client.get(&format!("/v1/jobs/{id}")).await?;
            unmet.expect(matches!(answer.status, 200 | 429), || {
                format!("{}: an accepted job reads {}", self.name, answer.status)
            });
        }
        Ok(())
    }

    fn rows(&self, answers: Answers, most: Most, grown: u64) -> Vec<(String, String)> {
        [
            ("accepted", answers.accepted.len().to_string()),
            ("refused", answers.refused.len().to_string()),
            (
                "refused after, p50 / p99 / max, ms",
                quantiles(answers.refused.into_iter()),
            ),
            ("memory of the API grown by, MiB", (grown >> 20).to_string()),
            ("sockets of the API, at most", most.sockets.to_string()),
            (
                "connections to the database, at most",
                most.database.to_string(),
            ),
        ]
        .map(|(what, value)| (format!("{}: {what}", self.name), value))
        .into()
    }
}

async fn submit_all_the_time(client: Client, refusal: u16, pause: Duration) -> Result<Answers> {
    let submission = json!({"kind": "sleep", "payload": {"ms": 60_000}});
    let mut answers = Answers::default();
    let begun = Instant::now();
    while begun.elapsed() < LASTS {
        let asked = Instant::now();
        let answer = client.post("/v1/jobs", &submission).await?;
        let told = !answer.header("retry-after").is_empty();
        match answer.status {
            202 => answers
                .accepted
                .extend(answer.json()["id"].as_str().map(str::to_owned)),
            status if status == refusal && told => answers.refused.push(asked.elapsed()),
            status => answers.others.push(status.to_string()),
        }
        sleep(pause).await;
    }
    Ok(answers)
}
