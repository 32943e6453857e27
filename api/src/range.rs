//! The `Range` field (RFC 9110 §14), in bytes and in items.

use std::ops::RangeInclusive;

use actix_web::{
    HttpRequest,
    http::{Method, header},
};

/// One range that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// From one place to another or to the end.
    From { first: u64, last: Option<u64> },
    /// The end, this long.
    Suffix { length: u64 },
}

impl Asked {
    /// The single range that a request asks for in `unit`. None where there is none, or none that
    /// has to be heeded: another method than GET, another unit, an invalid range, several.
    pub(crate) fn of(request: &HttpRequest, unit: &str) -> Option<Self> {
        if request.method() != Method::GET {
            return None;
        }
        let mut fields = request.headers().get_all(header::RANGE);
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return None;
        };
        let (asked_unit, set) = field.to_str().ok()?.split_once('=')?;
        if !asked_unit.trim().eq_ignore_ascii_case(unit) {
            return None;
        }
        Self::parse(set.trim())
    }

    fn parse(spec: &str) -> Option<Self> {
        let (first, last) = spec.split_once('-')?;
        match (number(first)?, number(last)?) {
            (None, None) => None,
            (None, Some(length)) => Some(Self::Suffix { length }),
            (Some(first), Some(last)) if first > last => None,
            (Some(first), last) => Some(Self::From { first, last }),
        }
    }

    /// The places it means in something of this length; none where it cannot be satisfied.
    pub(crate) fn within(self, length: u64) -> Option<RangeInclusive<u64>> {
        let end = length.checked_sub(1)?;
        match self {
            Self::From { first, .. } if first > end => None,
            Self::From { first, last } => Some(first..=last.map_or(end, |last| last.min(end))),
            Self::Suffix { length: 0 } => None,
            Self::Suffix { length: asked } => Some(length.saturating_sub(asked)..=end),
        }
    }
}

/// The number in a text, `Some(None)` where it is empty, `None` where it is anything else. What is
/// beyond 64 bits is beyond every end too.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let within = |spec: &str, length| Asked::parse(spec).map(|asked| asked.within(length));
        for (spec, expected) in [
            ("0-4", Some(Some(0..=4))),
            ("5-", Some(Some(5..=9))),
            ("-3", Some(Some(7..=9))),
            ("-30", Some(Some(0..=9))),
            ("5-99999999999999999999999", Some(Some(5..=9))),
            ("10-", Some(None)),
            ("-0", Some(None)),
            ("4-2", None),
            ("a-b", None),
            ("-", None),
            ("+1-2", None),
            ("0-1,3-4", None),
        ] {
            assert_eq!(within(spec, 10), expected, "{spec}");
        }
        assert_eq!(within("0-0", 0), Some(None));
    }
}
