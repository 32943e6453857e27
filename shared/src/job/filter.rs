//! Which jobs a list means.

use super::{JobId, KindName, QueueName, State};
use crate::timestamp::Timestamp;

/// Which of a tenant's jobs are meant. An empty field leaves everything in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobFilter {
    /// In one of these states.
    pub states: Vec<State>,
    /// Of one of these kinds.
    pub kinds: Vec<KindName>,
    /// In one of these queues.
    pub queues: Vec<QueueName>,
    /// Submitted at or after.
    pub created_after: Option<Timestamp>,
    /// Submitted before.
    pub created_before: Option<Timestamp>,
    /// With all of these metadata.
    pub metadata: Vec<(String, String)>,
    /// Of these kinds alone, whatever else is asked for: those that the caller may see; none: all.
    pub visible_kinds: Option<Vec<KindName>>,
    /// As `visible_kinds`, of queues.
    pub visible_queues: Option<Vec<QueueName>>,
}

/// A page of a list, newest first: where it begins and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The page begins behind this job; none for the first page.
    pub after: Option<JobId>,
    /// The page ends before this job: those next to it, where there are more than `limit`.
    pub before: Option<JobId>,
    /// How many jobs at most.
    pub limit: u32,
}
