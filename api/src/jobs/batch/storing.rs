//! Storing a batch: each submission for itself, or all of them or none.

use std::collections::HashSet;

use actix_web::{HttpRequest, ResponseError, http::StatusCode};
use coatcheck_shared::job::{Inserted, Job, JobId, NewJob, Tenant};
use futures::{StreamExt, future::join_all, stream};

use super::{
    super::{
        submit::{described, gone},
        unique,
    },
    outcomes::{Outcome, Outcomes},
};
use crate::{
    admission,
    api::Api,
    idempotency,
    problem::{Problem, ProblemType},
};

/// How many jobs of an earlier, equal request are read at once.
const READ_AT_ONCE: usize = 4;

/// Stores what can be stored. Every job is handed in at once, so that they share the groups of
/// the intake.
///
/// # Errors
/// Where nothing was stored and the fault was ours.
pub(super) async fn each(
    api: &Api,
    request: &HttpRequest,
    new: Vec<Result<NewJob, Problem>>,
) -> Result<Outcomes, Problem> {
    let admitted = join_all(new.into_iter().map(|new| async move {
        let new = new?;
        admission::admit(api, request, std::slice::from_ref(&new)).await?;
        Ok::<_, Problem>(new)
    }));
    let admitted = admitted.await;
    // What there is no room for makes no queue either.
    api.intake.make_queues(admitted.iter().flatten()).await?;
    let outcomes = join_all(admitted.into_iter().map(|new| async move {
        let new = new?;
        let job = described(&new);
        match api.intake.accept(new).await? {
            Inserted::Stored { .. } => Ok(job),
            Inserted::UniqueExists { job } => Err(unique::exists(job)),
            Inserted::Replayed { .. } | Inserted::KeyReused => Err(idempotency::reused()),
        }
    }));
    let mut each = outcomes.await;
    if each.iter().all(Result::is_err)
        && let Some(index) = each.iter().position(is_our_fault)
    {
        each.swap_remove(index)?;
    }
    Ok(Outcomes {
        each,
        replayed: false,
    })
}

/// Whether a submission was not stored though nothing is wrong with it.
fn is_our_fault(outcome: &Outcome) -> bool {
    let faults = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    outcome
        .as_ref()
        .is_err_and(|problem| faults.contains(&problem.status_code()))
}

/// Stores all of them, or none.
///
/// # Errors
/// What keeps the first of them from being stored.
pub(super) async fn all_or_none(
    api: &Api,
    request: &HttpRequest,
    tenant: &Tenant,
    new: Vec<NewJob>,
) -> Result<Outcomes, Problem> {
    admission::admit(api, request, &new).await?;
    let jobs: Vec<Job> = new.iter().map(described).collect();
    let inserted = api.intake.accept_all_or_none(new).await?;
    if inserted.contains(&Inserted::KeyReused) {
        return Err(idempotency::reused());
    }
    let earlier: Vec<JobId> = inserted.iter().filter_map(replayed).collect();
    if earlier.len() == jobs.len() {
        return replay(api, tenant, earlier).await;
    }
    let undone: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
    let outcomes = jobs.into_iter().zip(inserted);
    let outcomes = outcomes.map(|(job, inserted)| match inserted {
        Inserted::Stored { .. } => Ok(job),
        Inserted::UniqueExists { job } if undone.contains(&job) => Err(twice_in_batch()),
        Inserted::UniqueExists { job } => Err(unique::exists(job)),
        Inserted::Replayed { .. } | Inserted::KeyReused => Err(idempotency::reused()),
    });
    let stored = all_or_problem(outcomes.collect())?;
    Ok(Outcomes {
        each: stored.into_iter().map(Ok).collect(),
        replayed: false,
    })
}

const fn replayed(inserted: &Inserted) -> Option<JobId> {
    match inserted {
        Inserted::Replayed { job, .. } => Some(*job),
        _ => None,
    }
}

/// The jobs of an earlier, equal request, as they are now.
async fn replay(api: &Api, tenant: &Tenant, jobs: Vec<JobId>) -> Result<Outcomes, Problem> {
    let found = stream::iter(jobs)
        .map(|id| async move {
            let job = api.store.get(tenant, id).await?;
            job.ok_or_else(|| gone(id))
        })
        .buffered(READ_AT_ONCE);
    Ok(Outcomes {
        each: found.collect().await,
        replayed: true,
    })
}

/// Not its URL: the job of the other submission is not there either.
fn twice_in_batch() -> Problem {
    Problem::new(
        ProblemType::UniqueJobExists,
        "Another submission of the batch has the same unique key.",
    )
}

/// All of them, or the first problem, which says in which submission it lies, and in which others
/// there are more of its type.
pub(super) fn all_or_problem<T>(items: Vec<Result<T, Problem>>) -> Result<Vec<T>, Problem> {
    let mut good = Vec::with_capacity(items.len());
    let mut problem: Option<Problem> = None;
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok(item) => good.push(item),
            Err(found) => {
                let found = found.below(&format!("/jobs/{index}"));
                problem = Some(match problem {
                    Some(first) => first.joined_by(found),
                    None => found,
                });
            }
        }
    }
    problem.map_or(Ok(good), Err)
}
