//! A point in time, to the microsecond, in UTC.

use std::{fmt, str, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The last microsecond of the year 9999: the latest time that RFC 3339 can write.
const LATEST_MICROSECONDS: i64 = 253_402_300_799_999_999;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;

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
        let seconds = time.unix_timestamp();
        let whole = seconds.saturating_mul(MICROSECONDS_PER_SECOND);
        Self::from_microseconds(whole.saturating_add(time.microsecond().into()))
    }

    /// As a date and time in UTC.
    pub fn to_offset_date_time(self) -> OffsetDateTime {
        let seconds = self.0 / MICROSECONDS_PER_SECOND;
        let microseconds = self.0 % MICROSECONDS_PER_SECOND;
        let nanoseconds = u32::try_from(microseconds * 1_000).unwrap_or(0);
        OffsetDateTime::from_unix_timestamp(seconds)
            .and_then(|time| time.replace_nanosecond(nanoseconds))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// As on the wire. A poll shows six of them, and `time`'s formatting of them was a twentieth of it.
    fn to_wire(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let time = self.to_offset_date_time();
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second, microsecond) = time.to_hms_micro();
        write_digits(&mut text[0..4], year.unsigned_abs());
        write_digits(&mut text[5..7], u8::from(month).into());
        write_digits(&mut text[8..10], day.into());
        write_digits(&mut text[11..13], hour.into());
        write_digits(&mut text[14..16], minute.into());
        write_digits(&mut text[17..19], second.into());
        write_digits(&mut text[20..26], microsecond);
        text
    }
}

/// A number in decimal, with leading zeros.
fn write_digits(text: &mut [u8], mut number: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.to_wire()).map_err(|_| fmt::Error)?)
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
        let text = self.to_wire();
        serializer.serialize_str(str::from_utf8(&text).map_err(ser::Error::custom)?)
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
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2026-01-31T12:00:00.123456Z\""
        );
    }

    #[test]
    fn is_written_as_any_rfc_3339_time_is() {
        let format = time::macros::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        );
        // A step that meets every month, weekday, hour and second, over leap years.
        for number in 0..100_000 {
            let time = Timestamp::from_microseconds(number * 86_463_123_457);
            let expected = time.to_offset_date_time().format(format).unwrap();
            assert_eq!(time.to_string(), expected);
            let same = Timestamp::from_offset_date_time(time.to_offset_date_time());
            assert_eq!(same, time);
        }
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
