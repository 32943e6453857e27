//! A server goes and comes back.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use coatcheck_tests::{Result, client::Client};
use serde_json::json;
use tokio::{task::block_in_place, time::sleep};

use super::{Shown, ms};
use crate::{
    watch::{Unmet, refuses_within, submits_within},
    world::{Plan, World},
};

const SOON: Duration = Duration::from_secs(20);

/// How long what is asked may take while a server is away: 2 s are promised.
const IN_TIME: Duration = Duration::from_millis(2_500);

pub(super) async fn redis(binary: &Path) -> Result<Shown> {
    let mut world = World::start(binary, Plan::default()).await?;
    let mut unmet = Unmet::default();
    let client = Client::new(world.apis[0].address)?;
    world.redis.kill()?;
    let begun = Instant::now();
    submits_within(&world, IN_TIME, &mut unmet).await?;
    let accepted_after = begun.elapsed();
    for _ in 0..20 {
        let id = client
            .submit(&json!({"kind": "sleep", "payload": {"ms": 1}}))
            .await?;
        let job = client.wait_for_end(&id, SOON).await?;
        unmet.expect(job["state"] == "succeeded", || {
            format!("without Redis: {job}")
        });
    }
    let ran = begun.elapsed();
    let ready = client.get("/readyz").await?;
    unmet.expect(
        ready.status == 200 && ready.text().contains("degraded"),
        || format!("/readyz without Redis: {} {}", ready.status, ready.text()),
    );
    let claims = world.workers_metric("coatcheck_fallback_claims_total");
    unmet.expect(claims > 0.0, || {
        "no claim was made without Redis".to_owned()
    });

    block_in_place(|| world.redis.restart())?;
    let back = Instant::now();
    while !client.get("/readyz").await?.text().contains("\"ok\"") {
        if back.elapsed() > SOON {
            unmet.expect(false, || "/readyz is degraded for good".to_owned());
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(Shown {
        rows: vec![
            (
                "two submissions without Redis, ms".into(),
                ms(accepted_after),
            ),
            (
                "twenty jobs, one after another, without Redis, ms".into(),
                ms(ran),
            ),
            ("claims without Redis".into(), claims.to_string()),
            ("until /readyz said ok again, ms".into(), ms(back.elapsed())),
        ],
        unmet: unmet.0,
    })
}

/// The lease is long enough for the jobs that run to outlive the outage under it.
pub(super) async fn database(binary: &Path) -> Result<Shown> {
    let plan = Plan {
        settings: vec![("COATCHECK_WORKER__LEASE_S", "15".to_owned())],
        ..Plan::default()
    };
    let mut world = World::start(binary, plan).await?;
    let mut unmet = Unmet::default();
    let client = Client::new(world.apis[0].address)?;
    let mut running = Vec::new();
    for _ in 0..10 {
        let payload = json!({"command": "mark", "input": "3 0\n"});
        let job = json!({"kind": "command", "payload": payload, "max_attempts": 1});
        running.push(client.submit(&job).await?);
    }
    for id in &running {
        client.wait_for(id, &["running"], SOON).await?;
    }
    block_in_place(|| world.postgres.stop_at_once())?;
    let begun = Instant::now();
    refuses_within(&world, IN_TIME, &mut unmet).await?;
    let refused_after = begun.elapsed();
    // They come to their end while it is away.
    sleep(Duration::from_secs(4).saturating_sub(begun.elapsed())).await;
    block_in_place(|| world.postgres.restart())?;
    let back = Instant::now();
    for id in &running {
        let job = client.wait_for_end_with_patience(id, SOON).await?;
        unmet.expect(job["state"] == "succeeded" && job["attempt"] == 1, || {
            format!("it ran while the database was away: {job}")
        });
    }
    Ok(Shown {
        rows: vec![
            (
                "two refusals and four looks at health, ms".into(),
                ms(refused_after),
            ),
            (
                "until what ran meanwhile was recorded, ms".into(),
                ms(back.elapsed()),
            ),
        ],
        unmet: unmet.0,
    })
}
