//! When each job of an open loop is due, and the thread that says so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::profile::Profile;

/// How long the pacer sleeps where no job is ever due again.
const NEVER: Duration = Duration::from_secs(60);

/// Moments at a rate that may change, that no answer can delay.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    start: Instant,
    rate: Arc<Profile>,
}

impl Schedule {
    /// A schedule whose first moment is `start`, or as soon as the rate is more than nothing.
    pub(crate) fn new(start: Instant, rate: Profile) -> Self {
        let rate = Arc::new(rate);
        Self { start, rate }
    }

    /// The moment of the `number`th job, from 0; none, where the rate comes to nothing before.
    pub(crate) fn at(&self, number: u64) -> Option<Instant> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 jobs")]
        let time = self.rate.when_area_is(number as f64)?;
        self.start.checked_add(time)
    }

    /// How many jobs are due at `now`.
    pub(crate) fn due(&self, now: Instant) -> u64 {
        let Some(elapsed) = now.checked_duration_since(self.start) else {
            return 0;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "neither negative nor near 2^64"
        )]
        let whole = self.rate.area_until(elapsed) as u64;
        let is_next_due = self.at(whole).is_some_and(|moment| moment <= now);
        whole + u64::from(is_next_due)
    }
}

/// Announces jobs as they come due, by permits of a semaphore.
///
/// It is a thread and no timer of tokio's, which is a millisecond coarse: that would be most of
/// the latency of a fast server.
pub(crate) struct Pacer {
    thread: JoinHandle<()>,
    stopped: Arc<AtomicBool>,
}

impl Pacer {
    /// Announces the first `jobs` of the schedule in `due`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn start(
        schedule: Schedule,
        jobs: u64,
        due: Arc<Semaphore>,
    ) -> std::io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = {
            let stopped = Arc::clone(&stopped);
            std::thread::Builder::new()
                .name("pacer".to_owned())
                .spawn(move || announce(&schedule, jobs, &due, &stopped))?
        };
        Ok(Self { thread, stopped })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }
}

fn announce(schedule: &Schedule, jobs: u64, due: &Semaphore, stopped: &AtomicBool) {
    let mut announced = 0;
    while announced < jobs && !stopped.load(Ordering::Acquire) {
        let now = Instant::now();
        let reached = schedule.due(now).min(jobs);
        if reached > announced {
            due.add_permits(usize::try_from(reached - announced).unwrap_or(usize::MAX >> 3));
            announced = reached;
        } else {
            let next = schedule.at(announced);
            let pause = next.map_or(NEVER, |next| next.saturating_duration_since(now));
            std::thread::park_timeout(pause.max(Duration::from_micros(1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_evenly_spaced_from_the_start() {
        let start = Instant::now();
        let schedule = Schedule::new(start, Profile::constant(200.0));
        assert_eq!(schedule.at(0), Some(start));
        assert_eq!(schedule.at(200), Some(start + Duration::from_secs(1)));
        assert_eq!(schedule.at(3), Some(start + Duration::from_millis(15)));
    }

    #[test]
    fn what_is_due_is_counted_by_the_clock_alone() {
        let start = Instant::now() + Duration::from_secs(10);
        let schedule = Schedule::new(start, Profile::constant(1_000.0));
        assert_eq!(schedule.due(start - Duration::from_secs(1)), 0);
        assert_eq!(schedule.due(start), 1);
        assert_eq!(schedule.due(start + Duration::from_micros(2_500)), 3);
        assert_eq!(schedule.due(start + Duration::from_secs(60)), 60_001);
    }

    #[test]
    fn no_job_is_due_more_than_a_microsecond_before_its_moment() {
        let start = Instant::now();
        for rate in [0.3, 7.0, 333.3, 1_000.0, 30_000.0] {
            let schedule = Schedule::new(start, Profile::constant(rate));
            for number in 0..1_000 {
                let moment = schedule.at(number).unwrap();
                assert!(schedule.due(moment + Duration::from_micros(1)) > number);
                let early = moment.checked_sub(Duration::from_micros(1));
                assert!(early.is_none_or(|early| schedule.due(early) <= number));
            }
        }
    }

    #[tokio::test]
    async fn the_pacer_announces_every_job_and_none_early() {
        let start = Instant::now();
        let schedule = Schedule::new(start, Profile::constant(2_000.0));
        let due = Arc::new(Semaphore::new(0));
        let _pacer = Pacer::start(schedule.clone(), 100, Arc::clone(&due)).unwrap();
        for number in 0..100 {
            due.acquire().await.unwrap().forget();
            assert!(Instant::now() + Duration::from_micros(1) >= schedule.at(number).unwrap());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(due.available_permits(), 0);
    }

    #[test]
    fn a_ramp_brings_jobs_ever_closer() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let rate = Profile::staged(0.0, &[(10 * second, 100.0), (10 * second, 0.0)]);
        let schedule = Schedule::new(start, rate);
        let due = |seconds| schedule.due(start + seconds * second);
        assert_eq!(
            (due(1), due(2), due(10), due(19), due(60)),
            (6, 21, 501, 996, 1_001)
        );
        let gap = |number| schedule.at(number + 1).unwrap() - schedule.at(number).unwrap();
        assert!(gap(10) > gap(100) && gap(100) > gap(400));
        assert!(gap(600) < gap(900));
        assert_eq!(schedule.at(1_001), None);
    }

    #[test]
    fn no_job_is_due_in_a_pause() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let rate = Profile::staged(0.0, &[(10 * second, 0.0), (10 * second, 10.0)]);
        let schedule = Schedule::new(start, rate);
        assert_eq!(schedule.due(start + 9 * second), 0);
        assert_eq!(schedule.at(0), Some(start + 10 * second));
    }

    #[test]
    fn a_dropped_pacer_ends_its_thread() {
        let due = Arc::new(Semaphore::new(0));
        let schedule = Schedule::new(
            Instant::now() + Duration::from_secs(3_600),
            Profile::constant(1.0),
        );
        let pacer = Pacer::start(schedule, 10, due).unwrap();
        let stopped = Arc::clone(&pacer.stopped);
        drop(pacer);
        let begun = Instant::now();
        while Arc::strong_count(&stopped) > 1 {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "the thread goes on"
            );
            std::thread::yield_now();
        }
    }
}
