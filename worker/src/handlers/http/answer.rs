//! From the answer to what is kept of it.

use std::time::Duration;

use coatcheck_shared::job::JobResult;
use reqwest::{
    Response, StatusCode,
    header::{self, HeaderMap, HeaderName},
};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::{HandlerError, ResultWriter};

/// The longest pause that an answer may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The fields of RFC 9110 §7.6.1, and those that frame the body: it is kept whole, so they do not
/// hold where it is served.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn is_hop_by_hop(field: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&field.as_str())
}

/// Reads the answer to its end, and writes it down as it comes.
pub(super) async fn keep(
    mut answer: Response,
    most_bytes: usize,
    mut body: ResultWriter<'_>,
) -> Result<JobResult, HandlerError> {
    let status = answer.status();
    if [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ]
    .contains(&status)
    {
        return Err(not_now(status, answer.headers()));
    }
    let too_large = || {
        HandlerError::fail(format!(
            "the target's answer is over {most_bytes} bytes, the most that \
             COATCHECK_WORKER__RESULT_BYTES allows"
        ))
    };
    let length = answer.content_length().unwrap_or(0);
    if usize::try_from(length).map_or(true, |length| length > most_bytes) {
        return Err(too_large());
    }
    let content_type = answer.headers().get(header::CONTENT_TYPE).map_or_else(
        || "application/octet-stream".to_owned(),
        |value| String::from_utf8_lossy(value.as_bytes()).into_owned(),
    );
    let headers = end_to_end(answer.headers());
    let mut size = 0;
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| super::no_answer(&error))?
    {
        size += chunk.len();
        if size > most_bytes {
            return Err(too_large());
        }
        body.write(&chunk).await?;
    }
    Ok(JobResult {
        status: Some(status.as_u16()),
        headers,
        ..JobResult::new(content_type, body.finish().await?)
    })
}

/// What the answer says of itself to whoever reads it in the end. The content type has a place of
/// its own in the result.
fn end_to_end(headers: &HeaderMap) -> Vec<(String, String)> {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| {
            !is_hop_by_hop(name)
                && *name != header::CONTENT_TYPE
                && !named.iter().any(|named| named == name.as_str())
        })
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        })
        .collect()
}

fn not_now(status: StatusCode, headers: &HeaderMap) -> HandlerError {
    let message = format!("the target answered {status}");
    match pause(headers) {
        Some(pause) => HandlerError::retry_after(message, pause.min(LONGEST_PAUSE)),
        None => HandlerError::retry(message),
    }
    .with_details(json!({"status": status.as_u16()}))
}

/// `Retry-After`: seconds, or a date, which is taken relative to the answer's own `Date`, so that
/// the two machines' clocks need not agree.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let now = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    Some(Duration::try_from(until - now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_pause_is_seconds_or_the_time_from_the_answers_date() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (fields, seconds) in [
            (vec![("retry-after", "7")], Some(7)),
            (
                vec![DATE, ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")],
                Some(120),
            ),
            (
                vec![DATE, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")],
                Some(0),
            ),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "-1")], None),
            (vec![DATE], None),
        ] {
            let found = pause(&headers(&fields)).map(|pause| pause.as_secs());
            assert_eq!(found, seconds, "{fields:?}");
        }
    }

    #[test]
    fn fields_of_the_connection_are_dropped_and_repeated_ones_kept() {
        let kept = end_to_end(&headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-end", "2"),
        ]));
        let kept: Vec<_> = kept.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            kept,
            [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-end", "2")]
        );
    }
}
