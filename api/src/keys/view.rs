//! A key as clients see it.

use coatcheck_shared::{
    api_key::{ApiKey, Scope},
    job::{KindName, QueueName},
    timestamp::Timestamp,
};
use serde::Serialize;
use uuid::Uuid;

/// The representation of a key, without its secret. Every member is always there.
#[derive(Serialize)]
pub(super) struct KeyView<'a> {
    id: Uuid,
    tenant: &'a str,
    scopes: &'a [Scope],
    queues: Option<&'a [QueueName]>,
    kinds: Option<&'a [KindName]>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    key: String,
}

impl<'a> KeyView<'a> {
    /// The representation of a key.
    pub(super) fn of(key: &'a ApiKey) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant.as_str(),
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
