//! The `Idempotency-Key` field (IETF draft): with it, a request that is repeated is one request.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName, HeaderValue},
};
use coatcheck_shared::{job::Idempotency, timestamp::Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    openapi::Parameter,
    problem::{Problem, ProblemType},
};

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The field, described.
pub(crate) const PARAMETER: Parameter = Parameter::head(
    "Idempotency-Key",
    "With it, a request that is repeated is one request (IETF draft). 1 to 255 visible ASCII \
     characters, in double quotes or without any.",
    || {
        json!({
            "type": "string",
            "pattern": r#"^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-+\--:<-\[\]-~]{1,255})$"#,
            "examples": ["\"order-4711\""],
        })
    },
);

/// The field of an answer that repeats what came of an earlier request.
pub(crate) static IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Its value.
pub(crate) const REPLAYED: HeaderValue = HeaderValue::from_static("true");

/// The longest key.
const LONGEST: usize = 255;

/// A key that a client has given to its request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of a request, none where it has none.
    ///
    /// # Errors
    /// Where it has one that cannot be used.
    pub(crate) fn of(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let mut values = request.headers().get_all(&IDEMPOTENCY_KEY);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value
                .to_str()
                .ok()
                .and_then(parse)
                .map(|key| Some(Self(key)))
                .ok_or_else(|| unusable("It cannot be read as one string.")),
            (Some(_), Some(_)) => Err(unusable("There is more than one.")),
        }
    }

    /// Its name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What the store is to remember of the request under this key: what it was, the status that
    /// it is going to be answered with, and for how long.
    pub(crate) fn remember(
        &self,
        request: &HttpRequest,
        body: &[u8],
        status: u16,
        expires_at: Timestamp,
    ) -> Idempotency {
        Idempotency {
            key: self.0.clone(),
            fingerprint: fingerprint(request, body),
            status,
            expires_at,
        }
    }
}

/// That the key came before with another request.
pub(crate) fn reused() -> Problem {
    Problem::new(
        ProblemType::IdempotencyKeyReused,
        "Another request came before under this Idempotency-Key.",
    )
}

fn unusable(why: &str) -> Problem {
    Problem::new(
        ProblemType::InvalidIdempotencyKey,
        format!("{why} Send 1 to {LONGEST} visible ASCII characters, such as \"order-4711\"."),
    )
}

/// A digest of what makes two requests the same. What the client would like (`Prefer`) and what
/// differs between two tries (trace context, request id) is no part of it.
fn fingerprint(request: &HttpRequest, body: &[u8]) -> [u8; 32] {
    let target = request
        .uri()
        .path_and_query()
        .map_or("", |target| target.as_str());
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let parts = [
        request.method().as_str().as_bytes(),
        target.as_bytes(),
        content_type.map_or(&[], HeaderValue::as_bytes),
        body,
    ];
    let mut digest = Sha256::new();
    for part in parts {
        // With its length before it, nothing can pass from one part into the next.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A string as structured fields have it (RFC 9651 §3.3.3), or, as many clients send it, the bare
/// characters.
fn parse(value: &str) -> Option<String> {
    let value = value.trim_matches([' ', '\t']);
    let key = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';'))
            .then(|| value.to_owned())?,
    };
    (1..=LONGEST).contains(&key.len()).then_some(key)
}

/// What stands between quotes, the first of which has been read. Parameters after it mean nothing.
fn unquote(quoted: &str) -> Option<String> {
    let mut key = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(
                characters
                    .next()
                    .filter(|next| matches!(next, '"' | '\\'))?,
            ),
            character @ ' '..='~' => key.push(character),
            _ => return None,
        }
    }
    let rest = characters.as_str();
    (rest.is_empty() || rest.starts_with(';')).then_some(key)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_key_is_a_quoted_string_or_bare_characters() {
        let longest = "k".repeat(LONGEST);
        for (value, key) in [
            ("\"order-4711\"", Some("order-4711")),
            ("order-4711", Some("order-4711")),
            (" \"a b\" ", Some("a b")),
            (r#""a\"b\\c""#, Some("a\"b\\c")),
            ("\"a\";v=1", Some("a")),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324/+=",
                Some("8e03978e-40d5-43dd-bc93-6894a57f9324/+="),
            ),
            (&longest, Some(&*longest)),
            ("", None),
            ("\"\"", None),
            ("\"a", None),
            ("\"a\"b", None),
            (r#""a\b""#, None),
            ("a b", None),
            ("a,b", None),
            ("\"a\", \"b\"", None),
            (&format!("{longest}k"), None),
        ] {
            assert_eq!(parse(value).as_deref(), key, "{value}");
        }
    }

    #[test]
    fn the_fingerprint_is_of_what_makes_requests_the_same() {
        let request = || {
            TestRequest::post()
                .uri("/v1/jobs")
                .insert_header(("content-type", "a/b"))
        };
        let of = |request: TestRequest, body: &str| {
            fingerprint(&request.to_http_request(), body.as_bytes())
        };
        let first = of(request(), "x");
        assert_eq!(
            first,
            of(request().insert_header(("prefer", "wait=1")), "x")
        );
        for other in [
            of(request(), "y"),
            of(request().uri("/v1/jobs?kind=a"), "x"),
            of(request().insert_header(("content-type", "a/c")), "x"),
            of(request().method(actix_web::http::Method::PUT), "x"),
            of(request().insert_header(("content-type", "a/bx")), ""),
        ] {
            assert_ne!(first, other);
        }
    }
}
