//! What a process makes known to all others.

use async_trait::async_trait;
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    api_key::ApiKey,
    job::QueueName,
    kind::KindDefinition,
    store::{RegistryStore, StoreError, rows::to_json, sql},
};

#[async_trait]
impl RegistryStore for PostgresStore {
    async fn create_queue(&self, queue: &QueueName) -> Result<(), StoreError> {
        self.within("create_queue", || async move {
            sqlx::query(sql::CREATE_QUEUE)
                .bind(queue.as_str())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn announce_kinds(&self, kinds: &[KindDefinition]) -> Result<(), StoreError> {
        self.within("announce_kinds", || async move {
            for kind in kinds {
                sqlx::query(sql::ANNOUNCE_KIND)
                    .bind(kind.name.as_str())
                    .bind(to_json("kind", kind)?)
                    .execute(&self.writer)
                    .await?;
            }
            Ok(())
        })
        .await
    }

    async fn insert_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.within("insert_api_key", || async move {
            let queues = key.queues.as_ref();
            let kinds = key.kinds.as_ref();
            sqlx::query(sql::INSERT_API_KEY)
                .bind(key.id)
                .bind(key.secret_hash.as_slice())
                .bind(key.tenant.as_str())
                .bind(to_json("scopes", &key.scopes)?)
                .bind(queues.map(|names| to_json("queues", names)).transpose()?)
                .bind(kinds.map(|names| to_json("kinds", names)).transpose()?)
                .bind(key.created_at)
                .bind(key.expires_at)
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn delete_api_key(&self, id: Uuid) -> Result<bool, StoreError> {
        self.within("delete_api_key", || async move {
            let deleted = sqlx::query(sql::DELETE_API_KEY)
                .bind(id)
                .execute(&self.writer)
                .await?;
            Ok(deleted.rows_affected() > 0)
        })
        .await
    }
}
