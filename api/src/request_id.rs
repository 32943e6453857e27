//! The id under which a request is answered and logged.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::http::header::{HeaderMap, HeaderName};

/// The field that carries it, both ways.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, among its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

const LONGEST: usize = 128;

/// Tells the ids of this process from those of every other.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The caller's own id where it is sane, else a new one.
pub(crate) fn of(headers: &HeaderMap) -> String {
    headers
        .get(&X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_sane(text))
        .map_or_else(generate, str::to_owned)
}

fn generate() -> String {
    format!(
        "{:016x}-{:x}",
        *PROCESS,
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn is_sane(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken_over() {
        for sane in ["a", "A-1_.z", &"x".repeat(128)] {
            assert!(is_sane(sane), "{sane}");
        }
        for other in ["", "a b", "ä", "a/b", "a\"b", &"x".repeat(129)] {
            assert!(!is_sane(other), "{other}");
        }
        assert!(is_sane(&generate()));
        assert_ne!(generate(), generate());
    }
}
