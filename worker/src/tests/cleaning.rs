//! What has been kept for long enough is forgotten.

use coatcheck_shared::{
    clock::Clock,
    job::{Idempotency, Unique, UniqueMode},
};
use sqlx::SqliteConnection;

use super::{
    bed::{Bed, LONG},
    script::Script,
};
use crate::Registry;

async fn keys(database: &mut SqliteConnection, table: &str) -> Vec<String> {
    let query = format!("SELECT key FROM {table} ORDER BY key");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_all(database)
        .await
        .unwrap()
}

#[tokio::test]
async fn keys_whose_time_is_over_are_forgotten_and_others_kept() {
    let bed = Bed::new("").await;
    let now = bed.backend.clock.now();
    let mut jobs = vec![bed.job(&Script::Succeed), bed.job(&Script::Succeed)];
    for (job, (key, seconds)) in jobs.iter_mut().zip([("over", 0), ("kept", 600)]) {
        let span = std::time::Duration::from_secs(seconds);
        job.idempotency = Some(Idempotency {
            key: key.to_owned(),
            fingerprint: [0; 32],
            status: 202,
            expires_at: now.after(span),
        });
        job.unique = Some(Unique {
            key: key.to_owned(),
            mode: UniqueMode::Window(span),
        });
    }
    bed.submit(jobs).await;
    let mut database = bed.connect().await;
    assert_eq!(
        keys(&mut database, "idempotency_keys").await,
        ["kept", "over"]
    );
    assert_eq!(keys(&mut database, "unique_keys").await, ["kept", "over"]);
    let worker = bed.start(Registry::new());
    let forgotten = async {
        for table in ["idempotency_keys", "unique_keys"] {
            while keys(&mut database, table).await != ["kept"] {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(LONG, forgotten).await.unwrap();
    worker.end().await.unwrap();
}
