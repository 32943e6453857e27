//! Times and durations, for people and for programs.

use std::time::Duration;

use coatcheck_shared::{
    clock::{Clock, SystemClock},
    timestamp::Timestamp,
};

/// Shows times: how long ago on a terminal, else as they stand.
#[derive(Clone, Copy)]
pub(super) struct Times {
    now: Option<Timestamp>,
}

impl Times {
    pub(super) fn shown(relative: bool) -> Self {
        Self {
            now: relative.then(|| SystemClock.now()),
        }
    }

    pub(super) fn of(self, time: Timestamp) -> String {
        match self.now {
            Some(now) if time > now => format!("in {}", rough(time.since(now))),
            Some(now) => format!("{} ago", rough(now.since(time))),
            None => time.to_string(),
        }
    }
}

/// A duration in its largest unit, with one decimal below ten seconds.
pub(super) fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// Reads a duration like 30s or 2m; not nothing.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; durations look like 30s, 2m or 1h 30m"))?;
    if duration.is_zero() {
        return Err("it must be longer than nothing".to_owned());
    }
    Ok(duration)
}

/// Reads a duration of whole seconds, as the API takes it.
pub(super) fn whole_seconds(text: &str) -> Result<u64, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; durations look like 30s, 2m or 1h 30m"))?;
    if duration.subsec_nanos() > 0 {
        return Err("it must be whole seconds".to_owned());
    }
    Ok(duration.as_secs())
}

/// Reads a point in time: RFC 3339, or how long ago.
pub(super) fn point(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text)
        .map_err(|_| "it must be a time such as 2026-01-31T12:00:00Z, or how long ago: 2h")?;
    Ok(SystemClock.now().before(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_for_people_alone() {
        let time: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let times = |seconds| Times {
            now: Some(time.after(Duration::from_secs(seconds))),
        };
        assert_eq!(times(3).of(time), "3.0 s ago");
        assert_eq!(times(0).of(time.after(Duration::from_secs(90))), "in 90 s");
        assert_eq!(times(300).of(time), "5 min ago");
        assert_eq!(times(260_000).of(time), "3 days ago");
        assert_eq!(Times { now: None }.of(time), "2026-01-31T12:00:00.000000Z");
    }

    #[test]
    fn durations_are_checked() {
        assert_eq!(whole_seconds("1m 30s"), Ok(90));
        assert!(whole_seconds("500ms").unwrap_err().contains("whole"));
        assert!(duration("0s").is_err() && duration("soon").is_err());
        assert!(point("2h").is_ok() && point("2026-01-31T12:00:00Z").is_ok());
        assert!(point("yesterday").is_err());
    }
}
