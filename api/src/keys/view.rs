//! A key as clients see it.

use coatcheck_shared::{
    api_key::{ApiKey, Scope},
    job::{KindName, QueueName, Tenant},
    timestamp::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// The representation of a key, without its secret. Every member is always there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(super) struct KeyView<'a> {
    /// Its identity, which is no secret.
    #[schemars(with = "String", extend("format" = "uuid"))]
    id: Uuid,
    /// Whose jobs its holder sees and makes.
    tenant: &'a Tenant,
    /// What it lets its holder do.
    scopes: &'a [Scope],
    /// The queues it is good for; null: all.
    queues: Option<&'a [QueueName]>,
    /// The kinds it is good for; null: all.
    kinds: Option<&'a [KindName]>,
    /// When it was made.
    created_at: Timestamp,
    /// When it ceases to be good.
    expires_at: Option<Timestamp>,
    /// The URLs of what belongs to it.
    links: Links,
}

/// The URLs of what belongs to a key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyLinks")]
struct Links {
    #[serde(rename = "self")]
    key: String,
}

impl<'a> KeyView<'a> {
    /// The representation of a key.
    pub(super) fn of(key: &'a ApiKey) -> Self {
        Self {
            id: key.id,
            tenant: &key.tenant,
            scopes: &key.scopes,
            queues: key.queues.as_deref(),
            kinds: key.kinds.as_deref(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            links: Links {
                key: super::path_of(key.id),
            },
        }
    }
}
