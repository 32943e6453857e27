//! `kill -9` in the middle of commits, again and again, with the embedded database: the file stays
//! sound, nothing that was answered 202 is lost, and no key has two jobs. `TEST_SQLITE_KILLS=500`
//! kills so often.

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use coatcheck_tests::{
    client::Client,
    deployment::{Mode, Plan},
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::task::JoinSet;

const SUBMITTERS: usize = 6;
const LIMIT: Duration = Duration::from_secs(120);

/// What a submitter works on.
struct Submitting {
    client: Client,
    address: Mutex<SocketAddr>,
    stop: AtomicBool,
    next_key: AtomicU64,
}

/// Submits under one key after another, and repeats each until it is accepted. What was accepted:
/// key and job. A key under which two jobs are answered fails the test.
async fn submit(shared: Arc<Submitting>) -> BTreeMap<u64, String> {
    let mut accepted = BTreeMap::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let key = shared.next_key.fetch_add(1, Ordering::Relaxed);
        let submission = json!({"kind": "sleep", "payload": {"ms": 1}, "max_attempts": 20,
                                "metadata": {"key": key.to_string()}});
        while !shared.stop.load(Ordering::Relaxed) {
            let client = shared.client.at(*shared.address.lock().unwrap());
            let request = client
                .request(reqwest::Method::POST, "/v1/jobs")
                .header("content-type", "application/json")
                .header("idempotency-key", format!("key-{key}"))
                .body(submission.to_string());
            let answer = client.send(request).await;
            if let Some(id) = answer.ok().filter(|answer| answer.status == 202) {
                let id = id.json()["id"].as_str().unwrap().to_owned();
                accepted.insert(key, id);
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    accepted
}

async fn open(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn assert_sound(file: &Path, after: usize) {
    let mut connection = open(file).await;
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(found, ["ok"], "after {after} kills");
}

/// The job of each key as the file has them: never two of one.
async fn jobs_by_key(file: &Path) -> BTreeMap<u64, Vec<(String, String)>> {
    let mut connection = open(file).await;
    let rows: Vec<(Vec<u8>, String, String)> =
        sqlx::query_as("SELECT id, state, metadata FROM jobs")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut jobs: BTreeMap<u64, Vec<(String, String)>> = BTreeMap::new();
    for (id, state, metadata) in rows {
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        let key = metadata["key"].as_str().unwrap().parse().unwrap();
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        jobs.entry(key).or_default().push((id, state));
    }
    jobs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_by_kills_in_mid_commit() {
    let kills: usize = match std::env::var("TEST_SQLITE_KILLS") {
        Ok(count) => count.parse().unwrap(),
        Err(_) => 20,
    };
    let mut deployment = Plan::new(Mode::Embedded)
        .set("COATCHECK_WORKER__LEASE_S", 2)
        .start()
        .await
        .unwrap();
    let file = deployment.folder().join("data/coatcheck.sqlite3");
    let begun = Instant::now();
    let shared = Arc::new(Submitting {
        client: deployment.client().unwrap(),
        address: Mutex::new(deployment.apis()[0].address()),
        stop: AtomicBool::new(false),
        next_key: AtomicU64::new(0),
    });
    let mut submitters = JoinSet::new();
    for _ in 0..SUBMITTERS {
        submitters.spawn(submit(shared.clone()));
    }
    for kill in 0..kills {
        // Another moment each time, from the first commits on.
        let moment = 20 + (kill as u64 * 37) % 160;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        deployment.apis().remove(0).kill().unwrap();
        if kill % 10 == 0 {
            assert_sound(&file, kill + 1).await;
        }
        deployment.start_api().unwrap();
        *shared.address.lock().unwrap() = deployment.apis()[0].address();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    shared.stop.store(true, Ordering::Relaxed);
    let accepted: BTreeMap<u64, String> =
        submitters.join_all().await.into_iter().flatten().collect();
    assert!(
        accepted.len() > kills,
        "only {} were accepted",
        accepted.len()
    );

    let is_terminal = |state: &str| ["succeeded", "failed", "cancelled"].contains(&state);
    let waiting = Instant::now();
    let jobs = loop {
        let jobs = jobs_by_key(&file).await;
        let left = jobs
            .values()
            .flatten()
            .filter(|(_, state)| !is_terminal(state));
        let left = left.count();
        if left == 0 {
            break jobs;
        }
        assert!(waiting.elapsed() < LIMIT, "{left} jobs have not ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for (key, jobs) in &jobs {
        assert_eq!(jobs.len(), 1, "key {key}: {jobs:?}");
    }
    let mut seen = HashSet::new();
    for (key, id) in &accepted {
        let kept = &jobs[key][0].0;
        assert_eq!(&id.replace('-', ""), kept, "key {key}");
        assert!(seen.insert(id), "two keys, one job");
    }
    assert_sound(&file, kills).await;
    #[expect(clippy::print_stdout, reason = "nextest shows it where it is asked to")]
    {
        let failed = jobs.values().filter(|jobs| jobs[0].1 == "failed").count();
        println!(
            "{kills} kills in {:.0} s: {} accepted, {} jobs, {failed} of them failed, none lost",
            begun.elapsed().as_secs_f64(),
            accepted.len(),
            jobs.len(),
        );
    }
}
