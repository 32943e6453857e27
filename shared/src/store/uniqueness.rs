//! Who holds a unique key. Pure.
//!
//! A key is taken over when its job is no longer in its way, so no job gives its key back when it
//! ends, and ending costs nothing.

use super::moves::{Locked, Moved};
use crate::{
    job::{JobId, NewJob, UniqueMode},
    timestamp::Timestamp,
};

/// Until when a submission holds its key whatever becomes of its job; none: while that is active.
pub(super) fn held_until(new: &NewJob, mode: UniqueMode) -> Option<Timestamp> {
    match mode {
        UniqueMode::Window(window) => Some(new.created_at.after(window)),
        UniqueMode::WhileActive | UniqueMode::Replace => None,
    }
}

/// The job under whose name a key stands.
pub(super) struct Holder {
    pub(super) id: JobId,
    pub(super) held_until: Option<Timestamp>,
    /// None where the job is gone and only its window is left.
    pub(super) job: Option<Locked>,
}

/// What becomes of a key that stands under some job's name when another submission asks for it.
pub(super) enum Yield {
    /// The submission holds it: it was asked before.
    Own,
    /// Its job is no longer in the way.
    Free,
    /// Its job makes way, by this move.
    Replaced(Box<Moved>),
    /// Its job stays.
    Kept(JobId),
}

impl Holder {
    pub(super) fn yield_to(&self, new: &NewJob, mode: UniqueMode) -> Yield {
        let job = self.job.as_ref();
        let is_held = match self.held_until {
            Some(end) => end > new.created_at,
            None => job.is_some_and(|job| !job.lifecycle.state.is_terminal()),
        };
        if !is_held {
            return Yield::Free;
        }
        if self.id == new.id {
            return Yield::Own;
        }
        job.filter(|_| mode == UniqueMode::Replace)
            .and_then(|waiting| waiting.cancel(new.created_at))
            // One that runs is not called off for another.
            .filter(|moved| moved.state().is_terminal())
            .map_or(Yield::Kept(self.id), |moved| Yield::Replaced(moved.into()))
    }
}
