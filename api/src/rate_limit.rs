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
    policy: HeaderValue,
    swept: Mutex<Instant>,
}

/// What an answer says of the caller's rate. It waits among the request's extensions.
#[derive(Clone)]
pub(crate) struct RateLimitFields {
    policy: HeaderValue,
    state: HeaderValue,
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
        request.extensions_mut().insert(limit.fields(remaining)?);
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
            policy: HeaderValue::from_str(&format!("\"default\";q={burst};w={window}")).ok()?,
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

    fn fields(&self, remaining: u32) -> Result<RateLimitFields, Problem> {
        let used = self.burst.get().saturating_sub(remaining);
        let whole_again = (f64::from(used) / self.per_s).ceil();
        let state = format!("\"default\";r={remaining};t={whole_again}");
        Ok(RateLimitFields {
            policy: self.policy.clone(),
            state: HeaderValue::from_str(&state).map_err(|error| Problem::internal(&error))?,
        })
    }
}

impl RateLimitFields {
    /// Those of a request that has been counted.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// Puts them among the header fields of the answer.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_POLICY.clone(), self.policy);
        headers.insert(RATE_LIMIT.clone(), self.state);
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
