//! How callers are known: the key that a request shows, and whether it is good.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use coatcheck_shared::{
    api_key::{ApiKey, looks_like_a_secret, secret_hash},
    clock::Clock,
    settings::{AuthMode, Settings},
    store::Store,
    timestamp::Timestamp,
};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::{
    caller::Caller,
    key_ring::{Held, KeyRing},
    problem::{Problem, ProblemType},
};

/// How callers are known.
pub(crate) enum Credentials {
    /// Everyone is let in.
    Open,
    /// By their key.
    Keys {
        /// The hash of the operator's own key, which has every scope.
        admin: Option<[u8; 32]>,
        /// All others.
        ring: KeyRing,
    },
}

/// What a request shows.
pub(crate) enum Shown {
    /// No bearer key.
    Nothing,
    /// A key.
    Key {
        /// Its hash: the key itself goes no further.
        hash: [u8; 32],
        /// Whether it has the form of those that the database may hold.
        may_be_kept: bool,
    },
}

impl Shown {
    /// What stands in `Authorization`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match bearer_key(headers) {
            None => Self::Nothing,
            Some(key) => Self::Key {
                hash: secret_hash(key),
                may_be_kept: looks_like_a_secret(key),
            },
        }
    }
}

impl Credentials {
    /// As the settings say.
    pub(crate) fn of(settings: &Settings, store: Arc<dyn Store>) -> Self {
        match settings.auth_mode() {
            AuthMode::Open => Self::Open,
            AuthMode::Keys => Self::Keys {
                admin: settings
                    .auth
                    .admin_key
                    .as_ref()
                    .map(|key| secret_hash(key.expose_secret().as_bytes())),
                ring: KeyRing::new(store),
            },
        }
    }

    /// Who shows this, as far as it can be said without asking the database.
    pub(crate) fn look(&self, shown: &Shown, now: Timestamp) -> Option<Result<Caller, Problem>> {
        let Self::Keys { admin, ring } = self else {
            return Some(Ok(Caller::operator()));
        };
        let Shown::Key { hash, may_be_kept } = shown else {
            return Some(Err(unauthorized("Bearer realm=\"coatcheck\"")));
        };
        if admin.is_some_and(|admin| admin.ct_eq(hash).into()) {
            return Some(Ok(Caller::operator()));
        }
        if !may_be_kept {
            return Some(Err(refused()));
        }
        match ring.held(hash) {
            Held::Good(key) => Some(Caller::holding(key, now)),
            Held::Absent | Held::TooOld => None,
        }
    }

    /// Whether a key that was good still is. Where the database is away that cannot be said, and
    /// nothing can be read either.
    pub(crate) fn still_hold(&self, key: &ApiKey, now: Timestamp) -> bool {
        match self {
            Self::Open => true,
            Self::Keys { ring, .. } => {
                !key.has_expired(now) && !matches!(ring.held(&key.secret_hash), Held::Absent)
            }
        }
    }

    /// Who shows this, by what the database says now.
    pub(crate) async fn find(&self, shown: &Shown, clock: &dyn Clock) -> Result<Caller, Problem> {
        if let Some(known) = self.look(shown, clock.now()) {
            return known;
        }
        self.refresh().await?;
        self.look(shown, clock.now())
            .unwrap_or_else(|| Err(refused()))
    }

    /// Reads the keys anew.
    pub(crate) async fn refresh(&self) -> Result<(), Problem> {
        match self {
            Self::Open => Ok(()),
            Self::Keys { ring, .. } => Ok(ring.refresh().await?),
        }
    }

    /// Keeps the keys fresh, where there are any, and tells the operator where nobody can call.
    pub(crate) async fn keep_fresh(&self) {
        let Self::Keys { admin, ring } = self else {
            return;
        };
        if ring.refresh().await.is_ok() && ring.is_empty() && admin.is_none() {
            tracing::warn!(
                "nobody can call: there is no key yet. Make one with `coatcheck keys create \
                 --scope admin`"
            );
        }
        ring.keep_fresh().await;
    }
}

fn bearer_key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next()?.as_bytes();
    // Of two, another program on the way may have gone by the other.
    if values.next().is_some() {
        return None;
    }
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| key.trim_ascii())
}

/// That a key is not good; unknown, revoked and expired are not told apart.
pub(crate) fn refused() -> Problem {
    unauthorized("Bearer realm=\"coatcheck\", error=\"invalid_token\"")
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
