//! How many of something there are, as far as this process knows: looked up once a second, more
//! often only where it stands against a submission, and counted on in between.

use std::{
    collections::HashMap,
    hash::Hash,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use tokio::{task::JoinHandle, time::timeout};

/// How old the last look may be while there is room.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How old it may be where it stands against a submission.
const REFRESH_FULL: Duration = Duration::from_millis(100);

/// How long a submission waits for a look; it goes on running.
const PATIENCE: Duration = Duration::from_millis(250);

/// After how long without a look that succeeded a count stands against nobody. Whoever counts is at
/// fault then, not whoever submits; and a database that cannot count stores little.
const LONGEST_BLIND: Duration = Duration::from_secs(10);

/// How many looks at least must have failed in that time: where little is submitted there are few.
const FEWEST_FAILURES: u32 = 5;

/// How many names are followed.
const MOST_NAMES: usize = 10_000;

/// What a look found, and for how long it holds in any case; none where it could not look.
pub(crate) type Found = Option<(u64, Duration)>;

/// Looks.
type Source<Name> = Box<dyn Fn(Name) -> BoxFuture<'static, Found> + Send + Sync>;

/// The counts under all names.
pub(crate) struct Estimates<Name> {
    source: Source<Name>,
    most: u64,
    counts: Mutex<HashMap<Name, Arc<Count>>>,
}

/// The count under one name.
#[derive(Default)]
struct Count(Mutex<Estimate>);

#[derive(Default)]
struct Estimate {
    /// What the last look found.
    found: u64,
    /// What was let in since it began.
    added: u64,
    looked_at: Option<Instant>,
    /// Not to be looked up again before then, however full it seems.
    holds_until: Option<Instant>,
    /// Since when no look has succeeded.
    blind_since: Option<Instant>,
    /// How many have failed since then.
    failures: u32,
    is_looking: bool,
}

impl<Name: Clone + Eq + Hash> Estimates<Name> {
    /// Counts that may be as large as this, and where they are looked up.
    pub(crate) fn new<Look>(most: u64, look: impl Fn(Name) -> Look + Send + Sync + 'static) -> Self
    where
        Look: Future<Output = Found> + Send + 'static,
    {
        Self {
            source: Box::new(move |name| Box::pin(look(name))),
            most,
            counts: Mutex::default(),
        }
    }

    /// Counts more in. Gives how many there are then.
    ///
    /// # Errors
    /// How many there are, where these are too many.
    pub(crate) async fn admit(&self, name: &Name, more: u64) -> Result<u64, u64> {
        let (admitted, known) = self.admit_some(name, more..=more).await;
        if admitted == more {
            Ok(known)
        } else {
            Err(known)
        }
    }

    /// Counts in as many as fit, none where that is fewer than the least that are wanted. Gives how
    /// many they are, and how many there are then.
    pub(crate) async fn admit_some(&self, name: &Name, wanted: RangeInclusive<u64>) -> (u64, u64) {
        let count = self.of(name);
        let is_unknown = count.lock().is_unknown();
        let look = self.look(name, &count, REFRESH_EVERY);
        if is_unknown {
            await_look(look).await;
        }
        let (least, most) = wanted.into_inner();
        let mut admitted = count.add(least..=most, self.most);
        if admitted < most {
            await_look(self.look(name, &count, REFRESH_FULL)).await;
            let least = least.saturating_sub(admitted);
            admitted += count.add(least..=most - admitted, self.most);
        }
        (admitted, count.lock().known())
    }

    /// Counts those out again that were counted in and have come to nothing.
    pub(crate) fn give_back(&self, name: &Name, fewer: u64) {
        let count = self.of(name);
        let mut estimate = count.lock();
        estimate.added = estimate.added.saturating_sub(fewer);
    }

    /// About how many there are.
    pub(crate) fn about(&self, name: &Name) -> u64 {
        let count = self.of(name);
        self.look(name, &count, REFRESH_EVERY);
        count.lock().known()
    }

    fn of(&self, name: &Name) -> Arc<Count> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get(name) {
            return count.clone();
        }
        if counts.len() >= MOST_NAMES {
            counts.clear();
        }
        counts.entry(name.clone()).or_default().clone()
    }

    /// Looks where the last look is older than that and nobody else is looking.
    fn look(&self, name: &Name, count: &Arc<Count>, oldest: Duration) -> Option<JoinHandle<()>> {
        let counted = count.lock().begin_look(oldest)?;
        let (look, count) = ((self.source)(name.clone()), count.clone());
        Some(tokio::spawn(async move {
            let found = look.await;
            count.lock().end_look(found, counted);
        }))
    }
}

impl Count {
    fn lock(&self) -> MutexGuard<'_, Estimate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts in as many as fit, none where that is fewer than the least that are wanted.
    fn add(&self, wanted: RangeInclusive<u64>, most: u64) -> u64 {
        let mut estimate = self.lock();
        let room = if estimate.is_blind() {
            u64::MAX
        } else {
            most.saturating_sub(estimate.known())
        };
        let added = room.min(*wanted.end());
        if added < *wanted.start() {
            return 0;
        }
        estimate.added += added;
        added
    }
}

impl Estimate {
    fn known(&self) -> u64 {
        self.found + self.added
    }

    /// Whether nobody has looked yet, or the last look that succeeded is long ago.
    fn is_unknown(&self) -> bool {
        let since = self.blind_since;
        self.looked_at.is_none() || since.is_some_and(|since| since.elapsed() >= LONGEST_BLIND)
    }

    /// Whether looks have failed for so long that nobody knows how many there are. Time in which
    /// nobody looked does not count.
    fn is_blind(&self) -> bool {
        let failing = self.blind_since.zip(self.looked_at);
        failing.is_some_and(|(since, last)| last.duration_since(since) >= LONGEST_BLIND)
            && self.failures >= FEWEST_FAILURES
    }

    /// What had been let in when the look began; none where there is to be none.
    fn begin_look(&mut self, oldest: Duration) -> Option<u64> {
        let is_fresh = self.looked_at.is_some_and(|at| at.elapsed() < oldest);
        let holds = self.holds_until.is_some_and(|until| Instant::now() < until);
        if self.is_looking || is_fresh || holds {
            return None;
        }
        self.is_looking = true;
        Some(self.added)
    }

    /// What was let in before the look is in what it found.
    fn end_look(&mut self, found: Found, counted: u64) {
        self.is_looking = false;
        self.looked_at = Some(Instant::now());
        self.holds_until = None;
        if let Some((found, holds)) = found {
            self.found = found;
            self.added = self.added.saturating_sub(counted);
            self.holds_until = Some(Instant::now() + holds);
            self.blind_since = None;
            self.failures = 0;
        } else {
            self.blind_since = self.blind_since.or(self.looked_at);
            self.failures += 1;
        }
    }
}

async fn await_look(look: Option<JoinHandle<()>>) {
    if let Some(look) = look {
        // Late or lost: what is known already has to do.
        let _ = timeout(PATIENCE, look).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_during_a_look_is_counted_on_top_of_what_it_found() {
        let count = Count::default();
        assert_eq!(count.add(3..=3, 5), 3);
        let counted = count.lock().begin_look(REFRESH_EVERY).unwrap();
        assert_eq!(
            count.lock().begin_look(REFRESH_EVERY),
            None,
            "one at a time"
        );
        assert_eq!(count.add(2..=2, 5), 2);
        assert_eq!(count.add(1..=1, 5), 0);
        count.lock().end_look(Some((1, Duration::ZERO)), counted);
        assert_eq!(count.lock().known(), 3);
        assert_eq!(count.lock().begin_look(REFRESH_EVERY), None, "it is fresh");
        assert!(count.lock().begin_look(Duration::ZERO).is_some());
    }

    #[test]
    fn a_look_that_fails_changes_nothing_and_one_that_holds_is_not_repeated() {
        let count = Count::default();
        assert_eq!(count.add(3..=3, 5), 3);
        let counted = count.lock().begin_look(REFRESH_EVERY).unwrap();
        count.lock().end_look(None, counted);
        assert_eq!(count.lock().known(), 3);
        let counted = count.lock().begin_look(Duration::ZERO).unwrap();
        let holds = Duration::from_secs(10);
        count.lock().end_look(Some((4, holds)), counted);
        assert_eq!(count.lock().known(), 4);
        assert_eq!(count.lock().begin_look(Duration::ZERO), None);
    }

    #[test]
    fn as_many_as_fit_are_counted_in_and_may_be_given_back() {
        let count = Count::default();
        assert_eq!(count.add(1..=3, 5), 3);
        assert_eq!(count.add(3..=3, 5), 0, "all or none");
        assert_eq!(count.add(0..=3, 5), 2);
        assert_eq!(count.add(0..=3, 5), 0);
    }

    #[test]
    fn a_count_that_cannot_be_looked_up_for_long_stands_against_nobody() {
        let count = Count::default();
        let look = |found| {
            let counted = count.lock().begin_look(Duration::ZERO).unwrap();
            count.lock().end_look(found, counted);
        };
        look(Some((5, Duration::ZERO)));
        look(None);
        assert_eq!(count.add(1..=1, 5), 0, "not at once");
        count.lock().blind_since = Instant::now().checked_sub(LONGEST_BLIND);
        look(None);
        assert_eq!(
            count.add(1..=1, 5),
            0,
            "nor for two looks, however far apart"
        );
        (2..FEWEST_FAILURES).for_each(|_| look(None));
        assert_eq!(count.add(1..=1, 5), 1);
        look(Some((5, Duration::ZERO)));
        assert_eq!(count.add(1..=1, 5), 0, "until it can");
    }

    #[tokio::test]
    async fn a_look_that_failed_long_ago_lets_nobody_in() {
        let full = Estimates::new(5, |_| async {
            tokio::task::yield_now().await;
            Some((5, Duration::ZERO))
        });
        let long_ago = Instant::now().checked_sub(LONGEST_BLIND);
        *full.of(&"name").lock() = Estimate {
            found: 5,
            looked_at: long_ago,
            blind_since: long_ago,
            ..Estimate::default()
        };
        // One of them looks; the others do not wait for it.
        let crowd = (0..10).map(|_| full.admit(&"name", 1));
        let admitted = futures::future::join_all(crowd).await;
        assert!(admitted.iter().all(Result::is_err), "{admitted:?}");
    }

    #[tokio::test]
    async fn what_was_never_counted_or_not_for_long_is_counted_before_anybody_is_let_in() {
        let full = Estimates::new(5, |_| async { Some((5, Duration::ZERO)) });
        assert_eq!(full.admit(&"new", 1).await, Err(5));
        let long_ago = Instant::now().checked_sub(LONGEST_BLIND);
        full.of(&"old").lock().looked_at = long_ago;
        full.of(&"old").lock().blind_since = long_ago;
        assert_eq!(full.admit(&"old", 1).await, Err(5));
    }
}
