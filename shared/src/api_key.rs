//! What callers show to be let in. Only a hash of the secret is ever kept.

mod issue;

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::issue::{
    InvalidApiKey, IssuedApiKey, MOST_API_KEYS, NewApiKey, NoRandomness, looks_like_a_secret,
    secret_hash,
};
use crate::{
    job::{KindName, QueueName, Tenant},
    timestamp::Timestamp,
};

/// What a key lets its holder do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Scope {
    /// Submit jobs, and send them round again.
    #[serde(rename = "jobs:submit")]
    Submit,
    /// Read jobs, results, events and logs.
    #[serde(rename = "jobs:read")]
    Read,
    /// Cancel and delete jobs.
    #[serde(rename = "jobs:cancel")]
    Cancel,
    /// Lease jobs and run them.
    #[serde(rename = "jobs:work")]
    Work,
    /// Everything, keys and other tenants' names included.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::Submit,
        Self::Read,
        Self::Cancel,
        Self::Work,
        Self::Admin,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "jobs:submit",
            Self::Read => "jobs:read",
            Self::Cancel => "jobs:cancel",
            Self::Work => "jobs:work",
            Self::Admin => "admin",
        }
    }
}

/// A text that names no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such scope; there are jobs:submit, jobs:read, jobs:cancel, jobs:work, admin")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Its identity, which is no secret.
    pub id: Uuid,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// Whose jobs its holder sees and makes.
    pub tenant: Tenant,
    /// What it lets its holder do.
    pub scopes: Vec<Scope>,
    /// The queues it is good for; none: all.
    pub queues: Option<Vec<QueueName>>,
    /// The kinds it is good for; none: all.
    pub kinds: Option<Vec<KindName>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ceases to be good.
    pub expires_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it lets its holder do this at all; queues and kinds are another question.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&Scope::Admin) || self.scopes.contains(&scope)
    }

    /// Whether it has ceased to be good.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Whether it is good for some queues or kinds alone.
    pub const fn is_limited(&self) -> bool {
        self.queues.is_some() || self.kinds.is_some()
    }

    /// Whether it is good for jobs of this queue.
    pub fn covers_queue(&self, queue: &QueueName) -> bool {
        self.queues.as_ref().is_none_or(|own| own.contains(queue))
    }

    /// Whether it is good for jobs of this kind.
    pub fn covers_kind(&self, kind: &KindName) -> bool {
        self.kinds.as_ref().is_none_or(|own| own.contains(kind))
    }
}
