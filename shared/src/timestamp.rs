//! A point in time, to the microsecond, in UTC.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{
    OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem,
    format_description::well_known::Rfc3339, macros::format_description,
};

const WIRE_FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// The last microsecond of the year 9999: the latest time that RFC 3339 can write.
const LATEST_MICROSECONDS: i64 = 253_402_300_799_999_999;

/// Microseconds since the Unix epoch, in UTC.
///
/// Both databases keep exactly this resolution, so a time read back equals the time written.
/// On the wire it is RFC 3339 with six digits of a second and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(inline)]
pub struct Timestamp(#[schemars(with = "String", extend("format" = "date-time"))] i64);

impl Timestamp {
    /// From microseconds since the Unix epoch, clamped to the years 1970 to 9999.
    pub const fn from_microseconds(microseconds: i64) -> Self {
        Self(if microseconds < 0 {
            0
        } else if microseconds > LATEST_MICROSECONDS {
            LATEST_MICROSECONDS
        } else {
            microseconds
        })
    }

    /// Microseconds since the Unix epoch.
    pub const fn microseconds(self) -> i64 {
        self.0
    }

    /// This time and `duration` later, at most the end of the year 9999.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_microseconds(self.0.saturating_add(microseconds))
    }

    /// This time less `duration`, at least the Unix epoch.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self::from_microseconds(self.0.saturating_sub(microseconds))
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// From a date and time with any offset; what is finer than a microsecond is cut off.
    pub fn from_offset_date_time(time: OffsetDateTime) -> Self {
        let microseconds = time.unix_timestamp_nanos() / 1_000;
        Self::from_microseconds(i64::try_from(microseconds).unwrap_or(i64::MAX))
    }

    /// As a date and time in UTC.
    pub fn to_offset_date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .to_offset(UtcOffset::UTC)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self
            .to_offset_date_time()
            .format(WIRE_FORMAT)
            .map_err(|_| fmt::Error)?;
        formatter.write_str(&text)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339).map(Self::from_offset_date_time)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            de::Error::custom("expected an RFC 3339 time such as 2026-01-31T12:00:00Z")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_six_digits_and_read_back_from_any_offset() {
        let time: Timestamp = "2026-01-31T13:00:00.1234567+01:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.123456Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }

    #[test]
    fn arithmetic_stays_between_1970_and_9999() {
        let epoch = Timestamp::from_microseconds(0);
        assert_eq!(epoch.before(Duration::from_secs(1)), epoch);
        assert_eq!(
            epoch.after(Duration::MAX).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
        assert_eq!(
            epoch.since(epoch.after(Duration::from_secs(1))),
            Duration::ZERO
        );
    }
}
