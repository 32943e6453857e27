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
use serde::Serialize;

use crate::{api::Api, caller::Caller};

/// A queue on the wire.
#[derive(Serialize)]
struct QueueView {
    name: QueueName,
    /// The queued jobs: they could start at once.
    depth: u64,
    scheduled: u64,
    running: u64,
    /// Queued and running together: what there have to be slots for.
    demand: u64,
    /// How long the job that has been queued longest has waited; null where none is.
    oldest_age_s: Option<u64>,
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
