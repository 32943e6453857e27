//! Identities: of a job, and of the lease under which a worker process holds jobs.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp as UuidTimestamp, Uuid};

use crate::{clock::Clock, timestamp::Timestamp};

/// The identity of a job: a UUID of version 7, so ids sort by the time of submission.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
pub struct JobId(#[schemars(with = "String", extend("format" = "uuid"))] Uuid);

impl JobId {
    /// A new id that carries the clock's time. Ids made by one thread always increase.
    pub fn generate(clock: &dyn Clock) -> Self {
        Self(version_7(clock.now()))
    }

    /// The id with this UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The time of submission that the id carries, to the millisecond; none where it is not of
    /// version 7 and so was never handed out here.
    pub fn submitted_at(&self) -> Option<Timestamp> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let microseconds = seconds.checked_mul(1_000_000)? + u64::from(nanoseconds) / 1_000;
        Some(Timestamp::from_microseconds(
            i64::try_from(microseconds).ok()?,
        ))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(formatter)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    /// Takes the hyphenated lower-case form alone, so that one job has one URL.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text)?;
        let mut canonical = Uuid::encode_buffer();
        if uuid.as_hyphenated().encode_lower(&mut canonical) == text {
            Ok(Self(uuid))
        } else {
            // Another spelling of a UUID: refused with the error that a wrong length gives.
            Uuid::try_parse("").map(Self)
        }
    }
}

/// The identity of a lease: one worker process's right to run jobs, renewed while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(Uuid);

impl LeaseId {
    /// A new lease's id.
    pub fn generate(clock: &dyn Clock) -> Self {
        Self(version_7(clock.now()))
    }

    /// The id with this UUID.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(formatter)
    }
}

thread_local! {
    /// Keeps ids of one millisecond in order.
    static CONTEXT: ContextV7 = const { ContextV7::new() };
}

/// A new UUID of version 7 that carries a time.
pub(crate) fn version_7(now: Timestamp) -> Uuid {
    let microseconds = now.microseconds().unsigned_abs();
    let nanoseconds = u32::try_from(microseconds % 1_000_000).unwrap_or(0) * 1_000;
    CONTEXT.with(|context| {
        Uuid::new_v7(UuidTimestamp::from_unix(
            context,
            microseconds / 1_000_000,
            nanoseconds,
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn ids_increase_and_carry_their_time() {
        let before = SystemClock.now();
        let ids: Vec<JobId> = (0..1_000).map(|_| JobId::generate(&SystemClock)).collect();
        assert!(ids.is_sorted());
        let carried = ids[0].submitted_at().unwrap();
        let milliseconds = |time: Timestamp| time.microseconds() / 1_000;
        let meanwhile = milliseconds(before)..=milliseconds(SystemClock.now());
        assert!(meanwhile.contains(&milliseconds(carried)));
    }

    #[test]
    fn only_the_canonical_spelling_is_an_id() {
        let id = JobId::generate(&SystemClock);
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        for other in [
            id.to_string().to_uppercase(),
            id.as_uuid().simple().to_string(),
            id.as_uuid().braced().to_string(),
            String::new(),
            "1".to_owned(),
        ] {
            assert!(other.parse::<JobId>().is_err(), "{other}");
        }
    }
}
