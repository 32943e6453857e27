//! Submitters that go on while processes die under them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use coatcheck_tests::client::Client;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SUBMITTERS: usize = 8;

/// Submits jobs until it is told to stop, and keeps the id of each that was answered 202.
pub(crate) struct Load {
    address: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    submitters: JoinSet<Vec<String>>,
}

impl Load {
    /// Begins with jobs that sleep for `ms`.
    pub(crate) fn start(client: &Client, address: SocketAddr, ms: u64) -> Self {
        let address = Arc::new(Mutex::new(address));
        let stop = Arc::new(AtomicBool::new(false));
        let mut submitters = JoinSet::new();
        for _ in 0..SUBMITTERS {
            let (client, address, stop) = (client.clone(), Arc::clone(&address), Arc::clone(&stop));
            submitters.spawn(async move {
                let submission = json!({"kind": "sleep", "payload": {"ms": ms}});
                let mut accepted = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let target = client.at(*address.lock().unwrap());
                    // An error is a process that has just died: nothing was promised.
                    match target.submit(&submission).await {
                        Ok(id) => accepted.push(id),
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
                accepted
            });
        }
        Self {
            address,
            stop,
            submitters,
        }
    }

    /// Goes on at another process.
    pub(crate) fn move_to(&self, address: SocketAddr) {
        *self.address.lock().unwrap() = address;
    }

    /// Stops; the ids of all that was accepted.
    pub(crate) async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.submitters.join_all().await.concat()
    }
}

/// Waits for all of these jobs to end, and counts their states. A job that is not known fails the
/// test.
pub(crate) async fn ends_of(
    client: &Client,
    ids: &[String],
    limit: Duration,
) -> BTreeMap<String, usize> {
    let ends = stream::iter(ids)
        .map(|id| async move { client.wait_for_end(id, limit).await.unwrap() })
        .buffer_unordered(32)
        .collect::<Vec<Value>>();
    let ends = tokio::time::timeout(limit * 2, ends).await.unwrap();
    let mut counts = BTreeMap::new();
    for job in ends {
        let state = job["state"].as_str().unwrap().to_owned();
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// Fails unless every one of these jobs succeeds within the limit.
pub(crate) async fn assert_all_succeed(client: &Client, ids: &[String], limit: Duration) {
    assert!(ids.len() > 50, "only {} jobs were accepted", ids.len());
    let ends = ends_of(client, ids, limit).await;
    let expected = BTreeMap::from([("succeeded".to_owned(), ids.len())]);
    assert_eq!(ends, expected);
}
