//! What a world holds open at most, looked up again and again.

use std::time::Duration;

use coatcheck_tests::{Result, resources::sockets};
use sqlx::{Connection, PgConnection};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::world::World;

const EVERY: Duration = Duration::from_millis(20);

const CONNECTIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coatcheck'";

/// The most that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Most {
    /// Sockets of an API: its clients', the servers' and its own.
    pub(super) sockets: usize,
    /// The product's connections to Postgres, of all processes.
    pub(super) database: i64,
}

/// Looks until it is asked.
pub(super) struct Watch {
    enough: oneshot::Sender<()>,
    watching: JoinHandle<Result<Most>>,
}

impl Watch {
    /// Begins.
    pub(super) async fn start(world: &World, api: u32) -> Result<Self> {
        let mut connection = PgConnection::connect(&world.postgres.url()).await?;
        let (enough, mut is_enough) = oneshot::channel();
        let watching = tokio::spawn(async move {
            let mut most = Most::default();
            loop {
                let database: i64 = sqlx::query_scalar(CONNECTIONS)
                    .fetch_one(&mut connection)
                    .await?;
                most.database = most.database.max(database);
                most.sockets = most.sockets.max(sockets(api)?);
                if timeout(EVERY, &mut is_enough).await.is_ok() {
                    return Ok(most);
                }
            }
        });
        Ok(Self { enough, watching })
    }

    /// Ends; what it has seen.
    pub(super) async fn stop(self) -> Result<Most> {
        // Where it has failed, it says so itself.
        let _ = self.enough.send(());
        self.watching.await?
    }
}
