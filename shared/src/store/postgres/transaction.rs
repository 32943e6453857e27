//! Transactions that leave nothing behind, wherever they are given up.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use sqlx::{Executor, PgConnection, Postgres};

use crate::store::{
    StoreError,
    pool::{Lent, Pool},
};

/// A transaction. Its connection is closed, not used again, unless it has come to its end.
///
/// sqlx's own is not enough: every question here has a deadline, and where sqlx's is given up
/// while its BEGIN is under way, the connection goes back inside a transaction of which nobody
/// knows. What is asked next over it seems to be done and is not committed, and `now()` stands
/// still, so that a lease which has ended looks alive.
pub(super) struct Transaction(Lent<Postgres>);

impl Transaction {
    /// Begins one.
    pub(super) async fn begin(pool: &Pool<Postgres>) -> Result<Self, StoreError> {
        let mut transaction = Self(pool.lend().await?);
        transaction.execute("BEGIN").await?;
        Ok(transaction)
    }

    /// Lets each statement of it take so long, however soon the server would end another.
    pub(super) async fn may_take(&mut self, longest: Duration) -> Result<(), StoreError> {
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(longest.as_millis().to_string())
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.end("COMMIT").await
    }

    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), StoreError> {
        self.execute(statement).await?;
        self.0.settle();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::time::sleep;

    use super::*;
    use crate::store::pool::Limits;

    const A_MOMENT: Duration = Duration::from_millis(5);
    const SOON: Duration = Duration::from_secs(20);

    /// Of so many connections to the server that the tests are given.
    fn pool_of(connections: u32) -> Pool<Postgres> {
        let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names a Postgres");
        let limits = Limits {
            most: connections,
            deadline: SOON,
            longest_life: None,
        };
        Pool::new("test", url.parse().unwrap(), limits)
    }

    async fn now(pool: &Pool<Postgres>) -> String {
        let now = sqlx::query_scalar("SELECT now()::text");
        now.fetch_one(pool).await.unwrap()
    }

    #[tokio::test]
    async fn one_that_is_given_up_anywhere_leaves_its_connection_in_none() {
        let pool = pool_of(1);
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
        let pool = pool_of(2);
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
