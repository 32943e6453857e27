//! Making keys: the secret that is shown once, and what is kept of it.

use rand::{
    RngExt, SeedableRng,
    distr::Alphanumeric,
    rngs::{StdRng, SysRng},
};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{ApiKey, Scope};
use crate::{
    clock::Clock,
    job::{KindName, QueueName, Tenant, id::version_7},
    timestamp::Timestamp,
};

/// How many keys there may be at once: every API process holds them all in memory.
pub const MOST_API_KEYS: usize = 10_000;

/// What every secret begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "cck_";

/// How many letters and digits of a secret are random: 43 of 62 kinds carry 256 bits.
const RANDOM_LETTERS: usize = 43;

/// `cck_`, the key's id in 32 digits, `_`, the random letters.
const SECRET_LENGTH: usize = PREFIX.len() + 32 + 1 + RANDOM_LETTERS;

/// A key that is asked for.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Whose jobs its holder is to see and make.
    pub tenant: Tenant,
    /// What it is to let its holder do.
    pub scopes: Vec<Scope>,
    /// The queues it is to be good for; none: all.
    pub queues: Option<Vec<QueueName>>,
    /// The kinds it is to be good for; none: all.
    pub kinds: Option<Vec<KindName>>,
    /// When it is to cease to be good.
    pub expires_at: Option<Timestamp>,
}

/// Why there can be no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiKey {
    /// It would be good for nothing.
    #[error("a key needs at least one scope")]
    NoScope,
    /// Whoever makes keys can make one without limits.
    #[error("a key with the scope admin cannot be limited to queues or kinds")]
    LimitedAdmin,
    /// It would never have been good.
    #[error("a key must expire in the future")]
    Expired,
}

/// The operating system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub struct NoRandomness(String);

/// A new key with its secret, which is kept nowhere.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// What is kept.
    pub key: ApiKey,
    /// What its holder shows.
    pub secret: SecretString,
}

impl NewApiKey {
    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self, now: Timestamp) -> Result<(), InvalidApiKey> {
        if self.scopes.is_empty() {
            return Err(InvalidApiKey::NoScope);
        }
        let is_limited = self.queues.is_some() || self.kinds.is_some();
        if is_limited && self.scopes.contains(&Scope::Admin) {
            return Err(InvalidApiKey::LimitedAdmin);
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(InvalidApiKey::Expired);
        }
        Ok(())
    }

    /// Makes the key, with a secret of 256 random bits.
    ///
    /// # Errors
    /// Where there are no random numbers.
    pub fn issue(self, clock: &dyn Clock) -> Result<IssuedApiKey, NoRandomness> {
        let random =
            StdRng::try_from_rng(&mut SysRng).map_err(|error| NoRandomness(error.to_string()))?;
        let created_at = clock.now();
        let id = version_7(created_at);
        let letters: String = random
            .sample_iter(Alphanumeric)
            .take(RANDOM_LETTERS)
            .map(char::from)
            .collect();
        let secret = format!("{PREFIX}{}_{letters}", id.simple());
        Ok(IssuedApiKey {
            key: ApiKey {
                id,
                secret_hash: secret_hash(secret.as_bytes()),
                tenant: self.tenant,
                scopes: self.scopes,
                queues: self.queues,
                kinds: self.kinds,
                created_at,
                expires_at: self.expires_at,
            },
            secret: secret.into(),
        })
    }
}

/// What is kept of a secret.
pub fn secret_hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether a text has the form of a secret; one that has not is certainly unknown.
pub fn looks_like_a_secret(text: &[u8]) -> bool {
    text.len() == SECRET_LENGTH && text.starts_with(PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use secrecy::ExposeSecret;

    use super::*;
    use crate::clock::SystemClock;

    fn asked() -> NewApiKey {
        NewApiKey {
            tenant: Tenant::default(),
            scopes: vec![Scope::Read],
            queues: None,
            kinds: None,
            expires_at: None,
        }
    }

    #[test]
    fn a_secret_is_recognisable_names_its_key_and_is_never_shown() {
        let mut secrets = HashSet::new();
        for _ in 0..100 {
            let issued = asked().issue(&SystemClock).unwrap();
            let secret = issued.secret.expose_secret();
            assert!(looks_like_a_secret(secret.as_bytes()), "{secret}");
            assert!(secret.contains(&issued.key.id.simple().to_string()));
            assert_eq!(issued.key.secret_hash, secret_hash(secret.as_bytes()));
            let random = secret.rsplit('_').next().unwrap();
            assert!(!format!("{issued:?}").contains(random));
            assert!(secrets.insert(random.to_owned()));
        }
        assert!(f64::from(62).log2() * RANDOM_LETTERS as f64 >= 256.0);
        assert!(!looks_like_a_secret(b"cck_short"));
    }

    #[test]
    fn a_key_that_contradicts_itself_is_refused() {
        let now = SystemClock.now();
        assert_eq!(asked().check(now), Ok(()));
        let queues = Some(vec![QueueName::default()]);
        for (wrong, error) in [
            (
                NewApiKey {
                    scopes: vec![],
                    ..asked()
                },
                InvalidApiKey::NoScope,
            ),
            (
                NewApiKey {
                    scopes: vec![Scope::Admin],
                    queues,
                    ..asked()
                },
                InvalidApiKey::LimitedAdmin,
            ),
            (
                NewApiKey {
                    expires_at: Some(now.before(Duration::from_secs(1))),
                    ..asked()
                },
                InvalidApiKey::Expired,
            ),
        ] {
            assert_eq!(wrong.check(now), Err(error));
        }
    }

    #[test]
    fn every_scope_is_read_as_it_is_written() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert!(
                super::super::UnknownScope
                    .to_string()
                    .contains(scope.as_str())
            );
        }
        assert!("jobs".parse::<Scope>().is_err());
    }
}
