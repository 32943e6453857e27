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
    patience::Patience,
    plan::{Follow, Pace},
    profile::Profile,
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
        match &jobs.plan().pace {
            Pace::Closed { callers } => closed_loop(jobs, start, callers, &mut under_way).await,
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

/// As many callers as are wanted at each time, each with one job at a time. Returns when no more
/// will be submitted, with the jobs that are still followed in `under_way`.
async fn closed_loop(
    jobs: &Arc<Jobs>,
    start: Instant,
    callers: &Profile,
    under_way: &mut JoinSet<()>,
) {
    let limit = jobs.plan().limit;
    let end = limit.duration.map(|duration| start + duration);
    let shared = Arc::new(Callers {
        wanted: callers.clone(),
        start,
        end,
        left: AtomicU64::new(limit.jobs.unwrap_or(u64::MAX)),
        out_of_jobs: Semaphore::new(0),
    });
    for number in 1..=jobs.plan().connections {
        let (jobs, shared) = (Arc::clone(jobs), Arc::clone(&shared));
        under_way.spawn(async move { shared.call(number, &jobs).await });
    }
    // The first caller that stops tells that there are no more jobs; with all of them held up by
    // long ones, the time tells.
    let out_of_jobs = shared.out_of_jobs.acquire();
    match end {
        Some(end) => drop(tokio::time::timeout_at(end.into(), out_of_jobs).await),
        None => drop(out_of_jobs.await),
    }
}

/// What the callers of a closed loop share.
struct Callers {
    /// How many there are to be at each time.
    wanted: Profile,
    start: Instant,
    end: Option<Instant>,
    /// Jobs that may still be submitted.
    left: AtomicU64,
    /// Gets a permit when there are no more jobs.
    out_of_jobs: Semaphore,
}

impl Callers {
    /// One caller, from when it is wanted first to when it never is again.
    async fn call(&self, number: u32, jobs: &Arc<Jobs>) {
        loop {
            let now = self.start.elapsed();
            let Some(turn) = self.wanted.when_at_least(number.into(), now) else {
                return;
            };
            if turn > now {
                tokio::time::sleep_until((self.start + turn).into()).await;
                continue;
            }
            let is_over = self.end.is_some_and(|end| Instant::now() >= end);
            if is_over || !take_one(&self.left) {
                self.out_of_jobs.add_permits(1);
                return;
            }
            let reservation = jobs.client().reserve().await;
            if !jobs.run(reservation, Instant::now()).await {
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
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
    rate: &Profile,
    under_way: &mut JoinSet<()>,
) -> std::io::Result<()> {
    let schedule = Schedule::new(start, rate.clone());
    let total = jobs.plan().limit.jobs_at(rate);
    let due = Arc::new(Semaphore::new(0));
    let _pacer = Pacer::start(schedule.clone(), total, Arc::clone(&due))?;
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
        let scheduled = schedule.at(number).unwrap_or_else(Instant::now);
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
        let mut patience = Patience::new(jobs.plan().timeout);
        loop {
            let pause = match jobs.is_drained().await {
                Some(true) => break,
                Some(false) => {
                    patience.renew();
                    DRAIN_EVERY
                }
                None => match patience.lose(Instant::now()) {
                    Some(pause) => pause,
                    None => return,
                },
            };
            tokio::time::sleep(pause).await;
        }
        jobs.measurements().drained = Some(Instant::now());
    }
}
