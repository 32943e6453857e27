//! Letting pages of other origins call (the Fetch standard's CORS protocol). Off unless the
//! settings name them.
//!
//! Written here because `OPTIONS` is the route table's: it answers 204 with what the very resource
//! allows, also to a browser that asks beforehand.

use actix_web::http::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use coatcheck_shared::settings::CorsSettings;

/// What a page may send beside what every page may.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, \
     Last-Event-ID, Prefer, Range, Traceparent, Tracestate, X-Request-Id",
);

/// What a page may read beside what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept, Accept-Encoding, Accept-Ranges, Allow, Coatcheck-Job, Coatcheck-Result-Status, \
     Content-Location, Content-Range, Date, ETag, Idempotent-Replayed, Link, Location, \
     Operation-Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, Vary, \
     WWW-Authenticate, X-Request-Id",
);

/// Which origins may call; nothing where there are none.
pub(crate) struct Cors {
    /// Empty: every origin.
    origins: Vec<HeaderValue>,
    max_age: HeaderValue,
}

impl Cors {
    /// As the settings say.
    pub(crate) fn of(settings: &CorsSettings) -> Option<Self> {
        if settings.origins.is_empty() {
            return None;
        }
        let origins = if settings.origins.iter().any(|origin| origin == "*") {
            Vec::new()
        } else {
            let origins = settings.origins.iter();
            origins.filter_map(|origin| origin.parse().ok()).collect()
        };
        Some(Self {
            origins,
            max_age: settings.max_age_s.into(),
        })
    }

    /// Whether pages of an origin may call.
    fn lets(&self, origin: &HeaderValue) -> bool {
        self.origins.is_empty() || self.origins.contains(origin)
    }

    /// Adds to an answer what the browser of a page that asked wants to see.
    pub(crate) fn write(&self, method: &Method, request: &HeaderMap, answer: &mut HeaderMap) {
        let asks_beforehand = *method == Method::OPTIONS
            && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let is_for_all = self.origins.is_empty();
        if !is_for_all {
            answer.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = request.get(header::ORIGIN) else {
            return;
        };
        let allowed = if is_for_all {
            HeaderValue::from_static("*")
        } else if self.lets(origin) {
            origin.clone()
        } else {
            return;
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if !asks_beforehand {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            return;
        }
        if let Some(methods) = answer.get(header::ALLOW).cloned() {
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
    }
}

/// Whether a page of another origin, which no setting lets call, asks for something to be done.
/// A browser asks nobody before it sends a simple request (the Fetch standard's "CORS-safelisted"
/// ones), and where callers show no key it is let in for being near.
pub(crate) fn is_strangers(cors: Option<&Cors>, method: &Method, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let is_own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, authority)| {
            headers
                .get(header::HOST)
                .is_some_and(|host| host == authority)
        });
    !method.is_safe() && !is_own && !cors.is_some_and(|cors| cors.lets(origin))
}
