//! Connections over which a question was given up are looked at before they are used again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, postgres::PgConnection};
use tokio::time::timeout;

/// How long after a question was given up its connection may come back to the pool.
const SUSPICION: Duration = Duration::from_secs(10);

/// When a question was last given up before its answer had come.
///
/// The pool waits for what is still to come over such a connection, and by itself it waits for ever:
/// one whose other end is gone without a word (a firewall has forgotten it) would never be replaced,
/// and ten of them are the whole pool. So the pool's wait gets a deadline; in good times, when
/// nothing has been given up, it costs nothing.
#[derive(Clone)]
pub(super) struct GivenUp {
    epoch: Instant,
    /// In milliseconds since the epoch, plus one; zero: never.
    latest: Arc<AtomicU64>,
}

impl GivenUp {
    pub(super) fn never() -> Self {
        Self {
            epoch: Instant::now(),
            latest: Arc::default(),
        }
    }

    /// Notes it when it is dropped without having been [answered](Question::answered).
    pub(super) fn question(&self) -> Question<'_> {
        Question(Some(self))
    }

    /// Whether a connection that comes back may be used again.
    pub(super) async fn is_usable(
        &self,
        connection: &mut PgConnection,
        deadline: Duration,
    ) -> Result<bool, sqlx::Error> {
        if !self.was_lately() {
            return Ok(true);
        }
        match timeout(deadline, connection.ping()).await {
            Ok(answer) => answer.map(|()| true),
            // An error, so that the pool does not wait for an orderly end either.
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    fn was_lately(&self) -> bool {
        match self.latest.load(Ordering::Relaxed).checked_sub(1) {
            None => false,
            Some(latest) => self.elapsed().saturating_sub(latest) <= millis(SUSPICION),
        }
    }

    fn elapsed(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

/// A question that waits for its answer.
pub(super) struct Question<'a>(Option<&'a GivenUp>);

impl Question<'_> {
    pub(super) fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if let Some(given_up) = self.0 {
            given_up
                .latest
                .store(given_up.elapsed() + 1, Ordering::Relaxed);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use sqlx::Executor;

    use super::super::{PostgresSettings, PostgresStore};
    use crate::{store::JobStore, test_proxy::TestProxy};

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(500);
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn connections_that_carry_nothing_any_more_are_replaced() {
        let server = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
        let mut url: url::Url = server.parse().unwrap();
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap_or(5_432));
        let proxy = TestProxy::to(&format!("{host}:{port}")).await;
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(proxy.port())).unwrap();
        let store = PostgresStore::connect(&PostgresSettings {
            url: SecretString::from(url.to_string()),
            connections: 3,
            deadline: DEADLINE,
        });
        let store = store.unwrap();
        let ask_all = || futures::future::join_all((0..3).map(|_| store.now()));
        for answer in ask_all().await {
            answer.unwrap();
        }
        let begun = Instant::now();
        // The pool itself asks each connection that comes back whether it lives, and for ever.
        while store.writer.num_idle() < store.writer.size() as usize {
            assert!(begun.elapsed() < SOON, "they do not come back");
            tokio::task::yield_now().await;
        }
        proxy.abandon_connections();
        let begun = Instant::now();
        while ask_all().await.iter().any(Result::is_err) {
            assert!(begun.elapsed() < SOON, "they are not replaced");
        }
    }

    #[tokio::test]
    async fn a_transaction_whose_client_is_gone_gives_back_what_it_has_locked() {
        let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names one");
        let store = PostgresStore::connect(&PostgresSettings {
            url: SecretString::from(url),
            // Two of them for moves: one is gone, and the other waits for what it holds.
            connections: 4,
            deadline: DEADLINE,
        });
        let store = store.unwrap();
        // A number that no other test locks.
        let lock = "SELECT pg_advisory_xact_lock(7135246)";
        let mut gone = store.begin().await.unwrap();
        gone.execute(lock).await.unwrap();
        let begun = Instant::now();
        // Nothing more is heard of it, and it is not dropped.
        while store.writer.execute(lock).await.is_err() {
            assert!(begun.elapsed() < SOON, "it is locked for good");
        }
        drop(gone);
    }
}
