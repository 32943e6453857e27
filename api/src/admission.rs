//! Whether there is room for new jobs: under their tenant's quota, and in their queues.

use std::collections::HashMap;

use actix_web::HttpRequest;
use coatcheck_shared::job::{NewJob, QueueName};

use crate::{api::Api, problem::Problem};

/// Makes room for new jobs, of one tenant and under one idempotency key, if any.
///
/// What came before under its key needs no room: it is there, and to be answered as it was. That is
/// asked of the store only where there is no room, so that an ordinary submission does not pay for
/// it.
///
/// # Errors
/// Where there is no room for all of them, and nothing of them is stored.
pub(crate) async fn admit(
    api: &Api,
    request: &HttpRequest,
    jobs: &[NewJob],
) -> Result<(), Problem> {
    match make_room(api, request, jobs).await {
        Err(_) if came_before(api, jobs).await? => Ok(()),
        admitted => admitted,
    }
}

async fn make_room(api: &Api, request: &HttpRequest, jobs: &[NewJob]) -> Result<(), Problem> {
    let Some(first) = jobs.first() else {
        return Ok(());
    };
    let (tenant, count) = (&first.tenant, jobs.len() as u64);
    api.quotas.admit(request, tenant, count).await?;
    for (queue, count) in by_queue(jobs) {
        api.depths.admit(queue, count).await?;
    }
    Ok(())
}

/// Whether their key is remembered. Whether with the same request, the store says once it is asked
/// to take them.
async fn came_before(api: &Api, jobs: &[NewJob]) -> Result<bool, Problem> {
    // A batch is remembered as a whole.
    let Some(first) = jobs.first() else {
        return Ok(false);
    };
    let Some(idempotency) = &first.idempotency else {
        return Ok(false);
    };
    let (tenant, now) = (&first.tenant, first.created_at);
    let store = &api.store;
    Ok(store
        .has_idempotency_key(tenant, &idempotency.key, now)
        .await?)
}

fn by_queue(jobs: &[NewJob]) -> HashMap<&QueueName, u64> {
    let mut queues = HashMap::new();
    for job in jobs {
        *queues.entry(&job.queue).or_default() += 1;
    }
    queues
}
