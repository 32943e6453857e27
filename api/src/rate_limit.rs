//! How much each caller may ask, and what the answers say of it (IETF draft "RateLimit header
//! fields for HTTP").

use std::{
    hash::{BuildHasher, Hash, RandomState},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use coatcheck_shared::settings::LimitSettings;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use crate::problem::{Problem, ProblemType};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many callers are told apart; the rest share one rate.
const MOST_CALLERS: usize = 100_000;

/// Whose bucket it is, once too many have one of their own.
const EVERYONE_ELSE: u64 = 0;

/// How often those are forgotten who have not called for long, where there are too many.
const SWEEP: Duration = Duration::from_secs(1);

type Buckets =
    RateLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock, StateInformationMiddleware>;

/// The rates of all callers; nothing where there is no limit.
pub(crate) struct RateLimits(Option<Limit>);

struct Limit {
    buckets: Buckets,
    clock: DefaultClock,
    callers: RandomState,
    per_s: f64,
    burst: NonZeroU32,
    allowance: String,
    swept: Mutex<Instant>,
}

/// A limit that an answer tells of.
pub(crate) struct Policy {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it allows, as parameters of the field.
    pub(crate) allowance: String,
    /// What is left.
    pub(crate) left: u64,
    /// When there is more again.
    pub(crate) until: Duration,
}

/// What an answer says of its caller's limits, of each once. It waits among the request's
/// extensions.
#[derive(Default)]
pub(crate) struct RateLimitFields(Vec<Policy>);

/// Has the answer to a request tell of a limit.
pub(crate) fn say(request: &HttpRequest, policy: Policy) {
    let mut extensions = request.extensions_mut();
    if !extensions.contains::<RateLimitFields>() {
        extensions.insert(RateLimitFields::default());
    }
    if let Some(fields) = extensions.get_mut::<RateLimitFields>() {
        fields.add(policy);
    }
}

impl RateLimits {
    /// As the settings say.
    pub(crate) fn of(settings: &LimitSettings) -> Self {
        Self(Limit::new(settings.rate_per_s, settings.rate_burst))
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// Where it is one too many.
    pub(crate) fn admit(&self, request: &HttpRequest, caller: &impl Hash) -> Result<(), Problem> {
        let Some(limit) = &self.0 else {
            return Ok(());
        };
        let bucket = limit.bucket(caller);
        let (remaining, pause) = match limit.buckets.check_key(&bucket) {
            Ok(state) => (state.remaining_burst_capacity(), Duration::ZERO),
            Err(refusal) => (0, refusal.wait_time_from(limit.clock.now())),
        };
        say(request, limit.policy(remaining));
        if pause.is_zero() {
            return Ok(());
        }
        Err(Problem::new(
            ProblemType::RateLimited,
            format!(
                "This key may make {} requests a second, {} at once.",
                limit.per_s, limit.burst
            ),
        )
        .retry_after(whole_seconds(pause)))
    }
}

impl Limit {
    /// None where there is no limit.
    fn new(per_s: f64, burst: u32) -> Option<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the settings bound it, and the cast saturates"
        )]
        let burst = if burst == 0 {
            per_s.ceil() as u32
        } else {
            burst
        };
        let burst = NonZeroU32::new(burst)?;
        let period = Duration::try_from_secs_f64(1.0 / per_s).ok()?;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let window = whole_seconds(period.saturating_mul(burst.get()));
        Some(Self {
            buckets: RateLimiter::keyed(quota).with_middleware(),
            clock: DefaultClock::default(),
            callers: RandomState::new(),
            per_s,
            burst,
            allowance: format!("q={burst};w={window}"),
            swept: Mutex::new(Instant::now()),
        })
    }

    fn bucket(&self, caller: &impl Hash) -> u64 {
        if self.buckets.len() >= MOST_CALLERS {
            self.sweep();
            if self.buckets.len() >= MOST_CALLERS {
                return EVERYONE_ELSE;
            }
        }
        self.callers.hash_one(caller)
    }

    /// Forgets those whose rate is whole again.
    fn sweep(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() >= SWEEP {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
            *swept = Instant::now();
        }
    }

    fn policy(&self, remaining: u32) -> Policy {
        let used = self.burst.get().saturating_sub(remaining);
        let whole_again = (f64::from(used) / self.per_s).ceil();
        Policy {
            name: "default",
            allowance: self.allowance.clone(),
            left: remaining.into(),
            until: Duration::try_from_secs_f64(whole_again).unwrap_or(Duration::MAX),
        }
    }
}

impl RateLimitFields {
    /// Those of a request that has been counted.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions_mut().remove::<Self>()
    }

    /// Puts them among the header fields of the answer.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let policies = self.list(|policy| format!("\"{}\";{}", policy.name, policy.allowance));
        let states = self.list(|policy| {
            let (left, until) = (policy.left, policy.until.as_secs());
            format!("\"{}\";r={left};t={until}", policy.name)
        });
        for (name, value) in [(&RATE_LIMIT_POLICY, policies), (&RATE_LIMIT, states)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name.clone(), value);
            }
        }
    }

    fn list(&self, item: impl Fn(&Policy) -> String) -> String {
        let items: Vec<String> = self.0.iter().map(item).collect();
        items.join(", ")
    }

    /// The jobs of a batch each tell of the same limit: the last one knows how it stands.
    fn add(&mut self, policy: Policy) {
        let before = self.0.iter_mut().find(|each| each.name == policy.name);
        match before {
            Some(before) => *before = policy,
            None => self.0.push(policy),
        }
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn each_caller_has_a_rate_of_its_own() {
        let limits = RateLimits(Limit::new(0.001, 0));
        let request = TestRequest::get().to_http_request();
        for caller in ["a", "b"] {
            assert!(limits.admit(&request, &caller).is_ok());
            let refusal = limits.admit(&request, &caller).unwrap_err();
            assert!(refusal.to_string().contains("0.001"), "{refusal}");
        }
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(Limit::new(0.0, 0).is_none());
        assert!(Limit::new(0.0, 7).is_none());
        assert_eq!(Limit::new(2.5, 0).unwrap().burst.get(), 3);
    }

    #[test]
    fn the_callers_who_are_told_apart_are_bounded() {
        let limit = Limit::new(0.001, 0).unwrap();
        for caller in 0..MOST_CALLERS + 10 {
            // Whether it is let in is no matter here.
            let _ = limit.buckets.check_key(&limit.bucket(&caller));
        }
        assert!(limit.buckets.len() <= MOST_CALLERS + 1);
        assert_eq!(limit.bucket(&"new"), EVERYONE_ELSE);
    }
}
