//! Bodies too large for their job's row, read in both dialects.

/// Defines `read` for a database.
macro_rules! define_chunks {
    ($database:ty) => {
        use $crate::{
            job::JobId,
            store::{StoreError, pool::Pool, sql},
        };

        /// Reads a body back.
        pub(super) async fn read(
            pool: &Pool<$database>,
            job: JobId,
            attempt: i32,
        ) -> Result<Vec<u8>, StoreError> {
            let chunks: Vec<Vec<u8>> = sqlx::query_scalar(sql::CHUNKS)
                .bind(job.as_uuid())
                .bind(attempt)
                .fetch_all(pool)
                .await?;
            Ok(chunks.concat())
        }
    };
}
pub(super) use define_chunks;
