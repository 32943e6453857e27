//! An answer that is no success, told to a person.

use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, LOCATION},
};
use serde::Deserialize;

use crate::failure::{Failure, NOT_ALLOWED, NOT_FOUND, UNAVAILABLE, USAGE};

/// A problem document (RFC 9457), as far as it is told.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    problem_type: String,
    title: String,
    detail: String,
    instance: String,
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

/// Whether an answer says that it is a problem document.
pub(super) fn is_one(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE);
    media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"))
}

/// What an answer means, with each wrong field on a line of its own.
pub(super) fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let exit = exit_status(status, &problem.problem_type);
    if problem.title.is_empty() {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let hint = match location {
            Some(location) => format!("it redirects to {location}"),
            None => "is --url right?".to_owned(),
        };
        return Failure::new(exit, format!("the server answers {status}: {hint}"));
    }
    let mut details: Vec<String> = problem
        .errors
        .iter()
        .map(|error| format!("{}: {}", error.pointer, error.detail))
        .collect();
    if status.is_server_error() && !problem.instance.is_empty() {
        details.push(format!("request id: {}", problem.instance));
    }
    let reason = format!(
        "{} ({}): {}",
        problem.title,
        status.as_u16(),
        problem.detail
    );
    Failure::new(exit, reason).with_details(details)
}

fn exit_status(status: StatusCode, problem_type: &str) -> u8 {
    const FAILED: u8 = 1;
    match status.as_u16() {
        404 if problem_type.ends_with("/no-result") => FAILED,
        404 if problem_type.ends_with("/route-not-found") => USAGE,
        404 => NOT_FOUND,
        401 | 403 => NOT_ALLOWED,
        409 => FAILED,
        501 => USAGE,
        408 | 429 | 500.. => UNAVAILABLE,
        _ => USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_what_a_script_can_do() {
        for (status, problem_type, expected) in [
            (400, "/problems/invalid-request", 2),
            (401, "/problems/unauthorized", 4),
            (403, "", 4),
            (404, "/problems/job-not-found", 3),
            (404, "/problems/result-not-ready", 3),
            (404, "/problems/no-result", 1),
            (404, "/problems/route-not-found", 2),
            (409, "/problems/job-finished", 1),
            (413, "", 2),
            (422, "", 2),
            (429, "", 5),
            (500, "", 5),
            (501, "", 2),
            (503, "", 5),
            (302, "", 2),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(exit_status(status, problem_type), expected, "{status}");
        }
    }

    #[test]
    fn an_answer_of_another_program_is_told_as_such() {
        let failure = failure(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>");
        let text = format!("{failure:?}");
        assert!(
            text.contains("502 Bad Gateway") && text.contains("--url"),
            "{text}"
        );
    }
}
