//! The `Prefer` field (RFC 7240).

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::header::{HeaderName, HeaderValue},
};

/// The field in which the preferences that were honoured come back.
pub(crate) static PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What the client would like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// To be answered when the job is finished, or after this many seconds.
    wait_s: Option<u64>,
    /// To be answered 202 rather than to wait for the work.
    respond_async: bool,
}

impl Preferences {
    /// The preferences of a request, waits cut at the longest that is honoured. What is unknown
    /// or unreadable is ignored; of two that contradict one another the first counts.
    pub(crate) fn of(request: &HttpRequest, longest_wait_s: u64) -> Self {
        let mut preferences = Self::default();
        for field in request.headers().get_all("prefer") {
            for preference in field.to_str().unwrap_or_default().split(',') {
                // What follows a semicolon are parameters; neither preference has any.
                let stated = preference.split(';').next().unwrap_or_default();
                let (name, value) = stated.split_once('=').unwrap_or((stated, ""));
                let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                if name.eq_ignore_ascii_case("respond-async") {
                    preferences.respond_async = true;
                } else if name.eq_ignore_ascii_case("wait") && preferences.wait_s.is_none() {
                    preferences.wait_s = seconds(value).map(|asked| asked.min(longest_wait_s));
                }
            }
        }
        preferences
    }

    /// How long to wait for the job to finish.
    pub(crate) fn wait(self) -> Option<Duration> {
        self.wait_s.map(Duration::from_secs)
    }

    /// `Preference-Applied`: the wait that was waited for.
    pub(crate) fn applied_wait(self) -> Option<HeaderValue> {
        let seconds = self.wait_s?;
        HeaderValue::from_str(&format!("wait={seconds}")).ok()
    }

    /// `Preference-Applied` of an answer that comes before the job has finished.
    pub(crate) fn applied_async(self) -> Option<HeaderValue> {
        match (self.respond_async, self.wait_s) {
            (true, Some(seconds)) => {
                HeaderValue::from_str(&format!("respond-async, wait={seconds}")).ok()
            }
            (true, None) => Some(HeaderValue::from_static("respond-async")),
            (false, _) => self.applied_wait(),
        }
    }
}

fn seconds(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn preferences_are_read_and_the_rest_ignored() {
        for (field, wait_s, respond_async) in [
            ("wait=5", Some(5), false),
            ("WAIT = \"5\"", Some(5), false),
            ("respond-async, wait=100", Some(60), true),
            ("wait=1, wait=2", Some(1), false),
            ("wait=99999999999999999999999", Some(60), false),
            ("wait=-1, foo; bar=\"x\"", None, false),
            ("wait", None, false),
            ("return=minimal;wait=3", None, false),
        ] {
            let request = TestRequest::get()
                .insert_header(("Prefer", field))
                .to_http_request();
            let expected = Preferences {
                wait_s,
                respond_async,
            };
            assert_eq!(Preferences::of(&request, 60), expected, "{field}");
        }
    }
}
