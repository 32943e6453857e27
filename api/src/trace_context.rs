//! The `traceparent` field (W3C Trace Context): a job continues its submitter's trace.

use actix_web::http::header::HeaderMap;
use coatcheck_shared::job::JobId;
use serde_json::json;

use crate::openapi::Parameter;

/// The field, described.
pub(crate) const PARAMETER: Parameter = Parameter::head(
    "traceparent",
    "The trace that the job continues (W3C Trace Context); another is begun where it is none.",
    || {
        json!({
            "type": "string",
            "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        })
    },
);

/// The length of a field of version 00; later versions begin with the same.
const LENGTH: usize = 55;

/// The trace context of a submission: the request's where it is valid, else a new one.
pub(crate) fn of(headers: &HeaderMap, id: JobId) -> String {
    headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_valid(text))
        .map_or_else(|| begun_by(id), |text| text[..LENGTH].to_owned())
}

/// A new trace. A job's id is as unique as a trace's has to be; its second half is random.
fn begun_by(id: JobId) -> String {
    let trace = id.as_uuid().simple();
    let (_, span) = id.as_uuid().as_u64_pair();
    format!("00-{trace}-{span:016x}-00")
}

fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let Some((head, rest)) = bytes.split_at_checked(LENGTH) else {
        return false;
    };
    let (version, trace, span, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    [2, 35, 52].iter().all(|dash| head[*dash] == b'-')
        && [version, trace, span, flags].into_iter().all(is_hex)
        && version != b"ff"
        && !is_zero(trace)
        && !is_zero(span)
        && (rest.is_empty() || (version != b"00" && rest[0] == b'-'))
}

#[cfg(test)]
mod tests {
    use coatcheck_shared::clock::SystemClock;

    use super::*;

    #[test]
    fn only_valid_contexts_are_continued() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_valid(good));
        assert!(is_valid(&good.replacen("00", "cc", 1)));
        assert!(is_valid(&format!("{}-more", good.replacen("00", "cc", 1))));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
        assert!(is_valid(&begun_by(JobId::generate(&SystemClock))));
    }
}
