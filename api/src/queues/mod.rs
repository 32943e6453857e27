//! `/v1/queues`: how much waits and runs in which queue, for people and for what scales workers.

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod metrics;

use std::collections::BTreeMap;

use coatcheck_shared::{
    job::QueueName,
    store::{Census, Figures, StoreError},
    timestamp::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{api::Api, caller::Caller};

/// A queue on the wire.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Queue")]
struct QueueView {
    /// Its name.
    name: QueueName,
    /// The queued jobs: they could start at once.
    depth: u64,
    /// Jobs whose time has not come.
    scheduled: u64,
    /// Jobs that workers hold.
    running: u64,
    /// Queued and running together: what there have to be slots for.
    demand: u64,
    /// How long the job that has been queued longest has waited; null where none is.
    oldest_age_s: Option<u64>,
    /// When it was counted; null where it has not been yet.
    counted_at: Option<Timestamp>,
}

impl QueueView {
    fn of(name: QueueName, figures: &Figures, taken_at: Option<Timestamp>) -> Self {
        let oldest_age = figures
            .oldest_queued_at
            .zip(taken_at)
            .map(|(oldest, taken_at)| taken_at.since(oldest));
        Self {
            name,
            depth: figures.queued,
            scheduled: figures.scheduled,
            running: figures.running,
            demand: figures.queued + figures.running,
            oldest_age_s: oldest_age.map(|age| age.as_secs()),
            counted_at: taken_at,
        }
    }
}

/// What the caller may see: the operator all tenants' jobs together, others their own, those
/// among them that their key is good for.
async fn visible(
    caller: &Caller,
    api: &Api,
) -> Result<(Census, BTreeMap<QueueName, Figures>), StoreError> {
    let tenant = Some(&caller.tenant).filter(|_| !caller.is_operator());
    let census = api.census.latest(tenant).await?;
    let queues = census.by_queue(|group| caller.covers(&group.queue, &group.kind));
    Ok((census, queues))
}

/// What is said of the figures, wherever they are.
const FIGURES: &str = "Of the caller's own tenant; an administrator of the tenant `default` sees all \
     tenants' together. One process at a time counts, when someone asks, and for a twentieth of the \
     time at most: `counted_at` says when that was.";

fn example() -> Value {
    json!({
        "name": "default",
        "depth": 12,
        "scheduled": 0,
        "running": 100,
        "demand": 112,
        "oldest_age_s": 3,
        "counted_at": "2026-11-25T21:50:21.408757Z",
    })
}
