//! Transactions that leave nothing behind, wherever they are given up.

use std::ops::{Deref, DerefMut};

use sqlx::{Executor, PgPool, Postgres, pool::PoolConnection, postgres::PgConnection};

use crate::store::StoreError;

/// A transaction. Its connection is closed, not used again, unless it has come to its end.
///
/// sqlx's own is not enough: every question here has a deadline, and where sqlx's is given up
/// while its BEGIN is under way, the connection goes back to the pool inside a transaction of which
/// nobody knows. What is asked next over it seems to be done and is not committed, and `now()`
/// stands still, so that a lease which has ended looks alive.
pub(super) struct Transaction {
    connection: PoolConnection<Postgres>,
    has_ended: bool,
}

impl Transaction {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, StoreError> {
        let mut transaction = Self {
            connection: pool.acquire().await?,
            has_ended: false,
        };
        transaction.execute("BEGIN").await?;
        Ok(transaction)
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), StoreError> {
        self.execute(statement).await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.close_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use sqlx::postgres::PgPoolOptions;
    use tokio::time::sleep;

    use super::*;

    const A_MOMENT: std::time::Duration = std::time::Duration::from_millis(5);

    async fn now(pool: &PgPool) -> String {
        let now = sqlx::query_scalar("SELECT now()::text");
        now.fetch_one(pool).await.unwrap()
    }

    #[tokio::test]
    async fn one_that_is_given_up_anywhere_leaves_its_connection_in_none() {
        let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names a Postgres");
        let pool = PgPoolOptions::new().max_connections(1);
        let pool = pool.connect(&url).await.unwrap();
        let mut has_begun = false;
        for looks in 1..20 {
            // Until the connection is back: then the first look already sends the BEGIN.
            sleep(A_MOMENT).await;
            let mut begin = Box::pin(Transaction::begin(&pool));
            for look in 1..=looks {
                if poll!(&mut begin).is_ready() {
                    has_begun = true;
                    break;
                }
                if look < looks {
                    sleep(A_MOMENT).await;
                }
            }
            drop(begin);
            // Within one transaction it stands still.
            assert_ne!(now(&pool).await, now(&pool).await, "after {looks} looks");
        }
        assert!(has_begun, "it was given up too early each time");
    }

    #[tokio::test]
    async fn what_is_committed_stays_and_what_is_dropped_does_not() {
        let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names a Postgres");
        let pool = PgPoolOptions::new().max_connections(2);
        let pool = pool.connect(&url).await.unwrap();
        let name = format!("transaction_{}", std::process::id());
        let create = format!("CREATE TABLE {name} (id integer)");
        let exists = || async {
            let found = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL");
            found.bind(&name).fetch_one(&pool).await.unwrap()
        };
        let create = || sqlx::AssertSqlSafe(create.clone());

        let mut dropped = Transaction::begin(&pool).await.unwrap();
        dropped.execute(create()).await.unwrap();
        drop(dropped);
        assert!(!exists().await);

        let mut rolled_back = Transaction::begin(&pool).await.unwrap();
        rolled_back.execute(create()).await.unwrap();
        rolled_back.rollback().await.unwrap();
        assert!(!exists().await);

        let mut committed = Transaction::begin(&pool).await.unwrap();
        committed.execute(create()).await.unwrap();
        committed.commit().await.unwrap();
        assert!(exists().await);
        let drop = sqlx::AssertSqlSafe(format!("DROP TABLE {name}"));
        pool.execute(drop).await.unwrap();
    }
}
