//! The loops that submit jobs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    job::Jobs,
    plan::{Follow, Pace},
    schedule::{Pacer, Schedule},
};

/// The pause of a caller whose request got no answer: a server that is away is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// How often it is asked whether all jobs are gone.
const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// An open loop has no more jobs under way than this.
const MOST_UNDER_WAY: usize = 200_000;

/// How a load test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As planned.
    Complete,
    /// By Ctrl-C.
    Interrupted,
    /// Jobs were still under way when the patience was over.
    Impatient,
}

/// Submits and follows jobs as planned, until all are done or `interrupted`.
///
/// # Errors
/// Where the system gives no thread for the schedule.
pub(crate) async fn run(
    jobs: &Arc<Jobs>,
    start: Instant,
    interrupted: &CancellationToken,
) -> std::io::Result<Ending> {
    let mut under_way = JoinSet::new();
    let submitting = async {
        match jobs.plan().pace {
            Pace::Closed => closed_loop(jobs, start, &mut under_way).await,
            Pace::Open { rate } => open_loop(jobs, start, rate, &mut under_way).await?,
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        submitted = submitting => submitted?,
        () = interrupted.cancelled() => return Ok(Ending::Interrupted),
    }
    let settle = jobs.plan().settle;
    let settling = tokio::time::timeout(settle, settle_down(jobs, &mut under_way));
    Ok(tokio::select! {
        settled = settling => settled.map_or(Ending::Impatient, |()| Ending::Complete),
        () = interrupted.cancelled() => Ending::Interrupted,
    })
}

/// As many callers as connections, each with one job at a time. Returns when no more will be
/// submitted, with the jobs that are still followed in `under_way`.
async fn closed_loop(jobs: &Arc<Jobs>, start: Instant, under_way: &mut JoinSet<()>) {
    let limit = jobs.plan().limit;
    let end = limit.duration.map(|duration| start + duration);
    let left = Arc::new(AtomicU64::new(limit.jobs.unwrap_or(u64::MAX)));
    let closing = Arc::new(Semaphore::new(0));
    for _ in 0..jobs.plan().connections {
        let (jobs, left, closing) = (Arc::clone(jobs), Arc::clone(&left), Arc::clone(&closing));
        under_way.spawn(async move {
            while end.is_none_or(|end| Instant::now() < end) && take_one(&left) {
                let reservation = jobs.client().reserve().await;
                if !jobs.run(reservation, Instant::now()).await {
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
            closing.add_permits(1);
        });
    }
    // The first caller that stops tells that there are no more jobs; with all of them held up by
    // long ones, the time tells.
    let out_of_jobs = closing.acquire();
    match end {
        Some(end) => drop(tokio::time::timeout_at(end.into(), out_of_jobs).await),
        None => drop(out_of_jobs.await),
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

/// One job at each moment of the schedule, whatever became of those before. Returns when the
/// last is submitted.
async fn open_loop(
    jobs: &Arc<Jobs>,
    start: Instant,
    rate: f64,
    under_way: &mut JoinSet<()>,
) -> std::io::Result<()> {
    let schedule = Schedule::new(start, rate);
    let total = jobs.plan().limit.jobs_at(rate);
    let due = Arc::new(Semaphore::new(0));
    let _pacer = Pacer::start(schedule, total, Arc::clone(&due))?;
    for number in 0..total {
        if let Ok(permit) = due.acquire().await {
            permit.forget();
        }
        while under_way.try_join_next().is_some() {}
        while under_way.len() >= MOST_UNDER_WAY {
            under_way.join_next().await;
        }
        let (reservation, waited) = match jobs.client().try_reserve() {
            Some(reservation) => (reservation, false),
            None => (jobs.client().reserve().await, true),
        };
        let scheduled = schedule.at(number);
        jobs.measurements().scheduled(scheduled.elapsed(), waited);
        let jobs = Arc::clone(jobs);
        under_way.spawn(async move {
            jobs.run(reservation, scheduled).await;
        });
    }
    Ok(())
}

/// Waits for the jobs under way, and for all others where it was asked to.
async fn settle_down(jobs: &Arc<Jobs>, under_way: &mut JoinSet<()>) {
    while under_way.join_next().await.is_some() {}
    if let Follow::Not { drain: true } = jobs.plan().follow {
        while jobs.is_drained().await != Some(true) {
            tokio::time::sleep(DRAIN_EVERY).await;
        }
        jobs.measurements().drained = Some(Instant::now());
    }
}
