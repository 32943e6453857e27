//! Entity tags, and the fields that ask about them (RFC 9110 §8.8.3, §13).

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{self, EntityTag, IfMatch, IfNoneMatch},
};
use sha2::{Digest, Sha256};

use crate::problem::{Problem, ProblemType};

/// The strong tag of a body: half of its hash, enough that no two bodies ever share one.
pub(crate) fn tag_of(body: &[u8]) -> EntityTag {
    let shown = Sha256::digest(body)
        .iter()
        .take(size_of::<u128>())
        .fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    EntityTag::new_strong(format!("{shown:032x}"))
}

/// Whether `If-None-Match` names the tag: the caller has it already.
pub(crate) fn has_already(request: &HttpRequest, tag: &EntityTag) -> bool {
    if !request.headers().contains_key(header::IF_NONE_MATCH) {
        return false;
    }
    match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|each| each.weak_eq(tag)),
        None => false,
    }
}

/// Lets a request through to what has the tag where `If-Match` is absent, or names it.
///
/// # Errors
/// Where it names others.
pub(crate) fn require_meant(request: &HttpRequest, tag: &EntityTag) -> Result<(), Problem> {
    if is_meant(request, tag) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::PreconditionFailed,
        "The resource is no longer as If-Match says. Nothing was done.",
    ))
}

fn is_meant(request: &HttpRequest, tag: &EntityTag) -> bool {
    if !request.headers().contains_key(header::IF_MATCH) {
        return true;
    }
    match request.get_header::<IfMatch>() {
        Some(IfMatch::Any) => true,
        Some(IfMatch::Items(tags)) => tags.iter().any(|each| each.strong_eq(tag)),
        None => false,
    }
}

/// Whether `If-Range` lets a range be served: it is absent, or names this very tag. There is no
/// `Last-Modified`, so a date never matches.
pub(crate) fn range_may_apply(request: &HttpRequest, tag: &EntityTag) -> bool {
    let mut fields = request.headers().get_all(header::IF_RANGE);
    match (fields.next(), fields.next()) {
        (None, _) => true,
        (Some(field), None) => field
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse::<EntityTag>().ok())
            .is_some_and(|asked| asked.strong_eq(tag)),
        _ => false,
    }
}
