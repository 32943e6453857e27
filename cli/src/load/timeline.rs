//! What happened when: a slot a second, and never more slots than fit.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// Slots that there are at most. When time goes on beyond the last, each two become one of twice
/// the width, so the longest run takes no more memory than one of ten minutes.
const MOST_SLOTS: usize = 600;
/// How wide a slot is at first.
const FIRST_WIDTH: Duration = Duration::from_secs(1);

/// Longer latencies than a day are counted as a day.
pub(super) const LONGEST_US: u64 = 86_400_000_000;

/// What happened in one slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) accepted: u64,
    pub(crate) started: u64,
    pub(crate) finished: u64,
    /// By status or cause.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Latencies in microseconds, of what was answered or seen finished in this slot.
    pub(crate) post: Latencies,
    pub(crate) result: Latencies,
}

/// Latencies to two digits, which is what a chart can show; no memory before the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Option<Histogram<u32>>);

impl Latencies {
    pub(crate) fn record(&mut self, microseconds: u64) {
        if self.0.is_none() {
            // It grows to the largest latency that there is.
            self.0 = Histogram::new(2).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // Saturating it would not grow. More than a day is counted as a day.
            let _ = histogram.record(microseconds.min(LONGEST_US));
        }
    }

    /// A quantile in milliseconds, if there is any latency.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let histogram = self.0.as_ref()?;
        #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
        let microseconds = histogram.value_at_quantile(quantile) as f64;
        Some(microseconds / 1_000.0)
    }

    fn absorb(&mut self, later: Self) {
        match (&mut self.0, later.0) {
            (Some(mine), Some(theirs)) => {
                // Both grow as they must, so adding cannot fail.
                let _ = mine.add(&theirs);
            }
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}

impl Slot {
    fn absorb(&mut self, later: Self) {
        self.accepted += later.accepted;
        self.started += later.started;
        self.finished += later.finished;
        for (name, count) in later.errors {
            *self.errors.entry(name).or_default() += count;
        }
        self.post.absorb(later.post);
        self.result.absorb(later.result);
    }
}

/// What happened when.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    width: Duration,
    slots: Vec<Slot>,
}

impl Timeline {
    pub(crate) const fn new() -> Self {
        Self {
            width: FIRST_WIDTH,
            slots: Vec::new(),
        }
    }

    /// How much time one slot is.
    pub(crate) const fn width(&self) -> Duration {
        self.width
    }

    /// The slots from the start on.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of a moment, so long after the start.
    pub(crate) fn at(&mut self, time: Duration) -> &mut Slot {
        let mut index = self.index_of(time);
        while index >= MOST_SLOTS {
            self.fold();
            index = self.index_of(time);
        }
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        &mut self.slots[index]
    }

    fn index_of(&self, time: Duration) -> usize {
        usize::try_from(time.as_secs() / self.width.as_secs()).unwrap_or(usize::MAX)
    }

    fn fold(&mut self) {
        let mut slots = std::mem::take(&mut self.slots).into_iter();
        while let Some(mut slot) = slots.next() {
            if let Some(later) = slots.next() {
                slot.absorb(later);
            }
            self.slots.push(slot);
        }
        self.width *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_its_second() {
        let mut timeline = Timeline::new();
        for (time, seconds) in [(0, 0), (999, 0), (1_000, 1), (59_999, 59)] {
            timeline.at(Duration::from_millis(time)).accepted += 1;
            assert!(timeline.slots()[seconds].accepted > 0, "{time}");
        }
        assert_eq!(timeline.slots().len(), 60);
    }

    #[test]
    fn a_long_run_has_wider_slots_and_loses_nothing() {
        let mut timeline = Timeline::new();
        for second in 0..5_000 {
            let slot = timeline.at(Duration::from_secs(second));
            slot.accepted += 1;
            slot.result.record(second * 1_000);
            *slot.errors.entry("503".to_owned()).or_default() += 1;
            assert!(timeline.slots().len() <= MOST_SLOTS);
        }
        assert_eq!(timeline.width(), Duration::from_secs(16));
        let slots = timeline.slots();
        assert_eq!(slots.iter().map(|slot| slot.accepted).sum::<u64>(), 5_000);
        assert_eq!(
            slots.iter().map(|slot| slot.errors["503"]).sum::<u64>(),
            5_000
        );
        let last = slots.last().unwrap().result.quantile_ms(1.0).unwrap();
        assert!((4_980.0..5_030.0).contains(&last), "{last}");
    }

    #[test]
    fn a_moment_a_year_away_takes_no_more_room() {
        let mut timeline = Timeline::new();
        timeline.at(Duration::from_secs(3)).finished += 1;
        timeline.at(Duration::from_secs(366 * 86_400)).finished += 1;
        assert!(timeline.slots().len() <= MOST_SLOTS);
        assert_eq!(timeline.slots()[0].finished, 1);
    }

    #[test]
    fn without_latencies_there_is_no_quantile() {
        assert_eq!(Slot::default().post.quantile_ms(0.5), None);
    }
}
