//! What a process makes known to all others.

use async_trait::async_trait;
use rusqlite::params;
use uuid::Uuid;

use super::{SqliteStore, statement::execute};
use crate::{
    api_key::ApiKey,
    job::QueueName,
    kind::KindDefinition,
    store::{RegistryStore, StoreError, rows::to_json, sql},
};

#[async_trait]
impl RegistryStore for SqliteStore {
    async fn create_queue(&self, queue: &QueueName) -> Result<(), StoreError> {
        let queue = queue.clone();
        self.write("create_queue", move |connection| {
            execute(connection, sql::CREATE_QUEUE, &[&queue.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn announce_kinds(&self, kinds: &[KindDefinition]) -> Result<(), StoreError> {
        let kinds = kinds.to_vec();
        self.write("announce_kinds", move |connection| {
            for kind in &kinds {
                let definition = to_json("kind", kind)?;
                let announced = params![kind.name.as_str(), definition];
                execute(connection, sql::ANNOUNCE_KIND, announced)?;
            }
            Ok(())
        })
        .await
    }

    async fn insert_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write("insert_api_key", move |connection| {
            let queues = key
                .queues
                .as_ref()
                .map(|names| to_json("queues", names))
                .transpose()?;
            let kinds = key
                .kinds
                .as_ref()
                .map(|names| to_json("kinds", names))
                .transpose()?;
            execute(
                connection,
                sql::INSERT_API_KEY,
                &[
                    &key.id,
                    &key.secret_hash.as_slice(),
                    &key.tenant.as_str(),
                    &to_json("scopes", &key.scopes)?,
                    &queues,
                    &kinds,
                    &key.created_at,
                    &key.expires_at,
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn delete_api_key(&self, id: Uuid) -> Result<bool, StoreError> {
        self.write("delete_api_key", move |connection| {
            Ok(execute(connection, sql::DELETE_API_KEY, &[&id])? > 0)
        })
        .await
    }
}
