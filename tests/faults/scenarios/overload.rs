//! More than can be taken in.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client, resources::memory};
use serde_json::json;
use tokio::task::JoinSet;

use super::Shown;
use crate::{
    report::quantiles,
    watch::Unmet,
    world::{Plan, World},
};

const CLIENTS: usize = 64;
const LASTS: Duration = Duration::from_secs(4);

/// How fast a refusal is, but for one in a hundred.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

const QUEUE_DEPTH: usize = 300;

/// The queue's depth is looked up once a second: that much may come in meanwhile.
const MOST_OVER: usize = 20_000;

/// What the flood may cost an API in memory.
const MOST_MEMORY: u64 = 128 << 20;

pub(super) async fn play(binary: &Path) -> Result<Shown> {
    let mut shown = Shown::default();
    let full = [("COATCHECK_LIMITS__QUEUE_DEPTH", QUEUE_DEPTH.to_string())];
    flood(binary, "a full queue", 503, full.to_vec(), &mut shown).await?;
    let fast = [
        ("COATCHECK_LIMITS__RATE_PER_S", "50".to_owned()),
        ("COATCHECK_LIMITS__RATE_BURST", "50".to_owned()),
    ];
    flood(
        binary,
        "a caller over its rate",
        429,
        fast.to_vec(),
        &mut shown,
    )
    .await?;
    Ok(shown)
}

/// What one client was answered.
#[derive(Default)]
struct Answers {
    accepted: Vec<String>,
    refused: Vec<Duration>,
    others: Vec<String>,
}

async fn flood(
    binary: &Path,
    name: &str,
    refusal: u16,
    mut settings: Vec<(&'static str, String)>,
    shown: &mut Shown,
) -> Result<()> {
    settings.push(("COATCHECK_WORKER__CONCURRENCY", "1".to_owned()));
    let plan = Plan {
        settings,
        processes: Some((1, 1)),
        ..Plan::default()
    };
    let world = World::start(binary, plan).await?;
    let api = world.apis[0]
        .product()
        .ok_or("the API does not run")?
        .process_id();
    let before = memory(api)?;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = Client::new(world.apis[0].address)?;
        clients.spawn(submit_all_the_time(client, refusal));
    }
    let mut all = Answers::default();
    for answers in clients.join_all().await {
        let answers = answers?;
        all.accepted.extend(answers.accepted);
        all.refused.extend(answers.refused);
        all.others.extend(answers.others);
    }
    let grown = memory(api)?.saturating_sub(before);
    let mut unmet = Unmet::default();
    all.refused.sort_unstable();
    let p99 = all.refused.get(all.refused.len() * 99 / 100).copied();
    unmet.expect(p99.is_some_and(|time| time < REFUSED_WITHIN), || {
        format!("{name}: refused after {p99:?} (p99)")
    });
    unmet.expect(all.others.is_empty(), || {
        format!("{name}: answered {}", all.others.join(", "))
    });
    unmet.expect(all.accepted.len() < QUEUE_DEPTH + MOST_OVER, || {
        format!("{name}: {} were accepted", all.accepted.len())
    });
    unmet.expect(grown < MOST_MEMORY, || {
        format!("{name}: {grown} bytes more")
    });
    let client = Client::new(world.apis[0].address)?;
    for id in all
        .accepted
        .iter()
        .step_by(all.accepted.len().div_ceil(20).max(1))
    {
        // Another rate holds for looking than for being believed.
        let answer = client.get(&format!("/v1/jobs/{id}")).await?;
        unmet.expect(matches!(answer.status, 200 | 429), || {
            format!("{name}: an accepted job reads {}", answer.status)
        });
    }
    let mut row = |what: &str, value: String| shown.rows.push((format!("{name}: {what}"), value));
    row("accepted", all.accepted.len().to_string());
    row("refused", all.refused.len().to_string());
    row(
        "refused after, p50 / p99 / max, ms",
        quantiles(all.refused.into_iter()),
    );
    row("memory of the API grown by, MiB", (grown >> 20).to_string());
    shown.unmet.extend(unmet.0);
    Ok(())
}

async fn submit_all_the_time(client: Client, refusal: u16) -> Result<Answers> {
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
    }
    Ok(answers)
}
