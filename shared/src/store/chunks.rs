//! Bodies too large for their job's row, in both dialects.

/// Defines `write` and `read` for a database.
macro_rules! define_chunks {
    ($database:ty) => {
        use bytes::Bytes;
        use sqlx::Database;

        use $crate::{
            job::JobId,
            store::{StoreError, chunks_of, pool::Pool, rows::to_integer, sql},
        };

        /// Writes the chunks of a body, none for one that stays in the row.
        pub(super) async fn write(
            connection: &mut <$database as Database>::Connection,
            job: JobId,
            attempt: i32,
            body: &Bytes,
        ) -> Result<(), StoreError> {
            for (sequence, chunk) in chunks_of(body).enumerate() {
                sqlx::query(sql::INSERT_CHUNK)
                    .bind(job.as_uuid())
                    .bind(attempt)
                    .bind(to_integer(sequence))
                    .bind(&*chunk)
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        }

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
