//! Who calls: the credential of a request and the tenant that it speaks for.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderValue},
    web::Data,
};
use coatcheck_shared::{
    job::Tenant,
    settings::{AuthMode, Settings},
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::{
    api::Api,
    problem::{Problem, ProblemType},
};

/// How callers are known.
pub(crate) enum Credentials {
    /// Everyone is let in.
    Open,
    /// By the operator's key; nobody, where there is none.
    Keys {
        /// The key with every scope.
        admin: Option<SecretString>,
    },
}

impl Credentials {
    /// As the settings say.
    pub(crate) fn of(settings: &Settings) -> Self {
        match settings.auth_mode() {
            AuthMode::Open => Self::Open,
            AuthMode::Keys => Self::Keys {
                admin: settings.auth.admin_key.clone(),
            },
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let caller = Caller {
            tenant: Tenant::default(),
        };
        let Self::Keys { admin } = self else {
            return Ok(caller);
        };
        let Some(key) = bearer_key(headers) else {
            return Err(unauthorized("Bearer realm=\"coatcheck\""));
        };
        let known = admin
            .as_ref()
            .is_some_and(|admin| admin.expose_secret().as_bytes().ct_eq(key).into());
        if known {
            Ok(caller)
        } else {
            Err(unauthorized(
                "Bearer realm=\"coatcheck\", error=\"invalid_token\"",
            ))
        }
    }
}

/// A caller whose credential is good. An endpoint that takes it is closed to everyone else.
pub(crate) struct Caller {
    /// Whose jobs the caller sees.
    pub(crate) tenant: Tenant,
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.app_data::<Data<Api>>() {
            Some(api) => api.credentials.check(request.headers()).and_then(|caller| {
                api.rate_limits.admit(request, &caller.tenant)?;
                Ok(caller)
            }),
            None => Err(Problem::internal(&"an endpoint without its state")),
        })
    }
}

fn bearer_key(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| key.trim_ascii())
}

fn unauthorized(challenge: &'static str) -> Problem {
    Problem::new(
        ProblemType::Unauthorized,
        "Send a key that this server knows, as `Authorization: Bearer KEY`.",
    )
    .with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}
