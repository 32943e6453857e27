//! Results that no process holds as a whole.

use std::time::{Duration, Instant};

use coatcheck_tests::{
    client::Client,
    deployment::{Deployment, Mode, Plan},
    resources::{memory, peak_memory, reset_peak_memory},
};
use futures::future::join_all;
use reqwest::{Method, header::RANGE};
use serde_json::json;

use crate::in_both_modes;

in_both_modes!(a_large_result_takes_little_memory);

const SIZE: usize = 200 << 20;
const CLIENTS: usize = 20;
const LIMIT: Duration = Duration::from_secs(300);
const MOST_GROWTH: u64 = 32 << 20;

/// The processes and what they had resident before.
struct Watched(Vec<(u32, u64)>);

impl Watched {
    fn begin(deployment: &mut Deployment) -> Self {
        let mut ids: Vec<u32> = Vec::new();
        ids.extend(deployment.apis().iter().map(|process| process.process_id()));
        ids.extend(
            deployment
                .workers()
                .iter()
                .map(|process| process.process_id()),
        );
        ids.dedup();
        let processes = ids.into_iter().map(|id| {
            reset_peak_memory(id).unwrap();
            (id, memory(id).unwrap())
        });
        Self(processes.collect())
    }

    /// How much the process that grew most has grown, at its peak.
    fn growth(&self) -> u64 {
        let growths = self.0.iter();
        let growths = growths.map(|(id, before)| peak_memory(*id).unwrap().saturating_sub(*before));
        growths.max().unwrap()
    }
}

/// A byte that depends on its place, so that no piece can be taken for another.
fn byte_at(place: usize) -> u8 {
    ((place / 8) >> (8 * (place % 4))) as u8
}

async fn a_large_result_takes_little_memory(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bytes");
    let bytes: Vec<u8> = (0..SIZE).map(byte_at).collect();
    std::fs::write(&file, &bytes).unwrap();
    let mut deployment = Plan::new(mode)
        .config(format!(
            "[commands.show]\nprogram = \"/bin/cat\"\nargs = [{file:?}]\n"
        ))
        .set("COATCHECK_WORKER__RESULT_BYTES", SIZE)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    // What a process takes for its first job and answer is not what this is about.
    let small = json!({"kind": "sleep", "payload": {"ms": 1}});
    let id = client.submit(&small).await.unwrap();
    client.result(&id, LIMIT).await.unwrap();

    let watched = Watched::begin(&mut deployment);
    let begun = Instant::now();
    let submission = json!({"kind": "command", "payload": {"command": "show"}});
    let id = client.submit(&submission).await.unwrap();
    let job = client.wait_for_end(&id, LIMIT).await.unwrap();
    assert_eq!(job["state"], "succeeded", "{job}");
    let (written, grown_by_writing) = (begun.elapsed(), watched.growth());

    let begun = Instant::now();
    let fetches = (0..CLIENTS).map(|_| fetch(&client, &id, &bytes));
    join_all(fetches).await;
    let (read, grown) = (begun.elapsed(), watched.growth());
    #[expect(clippy::print_stderr, reason = "what was measured is of use in itself")]
    {
        eprintln!(
            "{mode:?}: written in {:.1} s, {} KiB more at most; read by {CLIENTS} in {:.1} s, {} KiB",
            written.as_secs_f64(),
            grown_by_writing >> 10,
            read.as_secs_f64(),
            grown >> 10
        );
    }
    assert!(grown < MOST_GROWTH, "{grown} bytes");

    let part = SIZE / 2 - 5..SIZE / 2 + 300_000;
    let range = format!("bytes={}-{}", part.start, part.end - 1);
    let request = client.request(Method::GET, &format!("/v1/jobs/{id}/result"));
    let answer = client.send(request.header(RANGE, range)).await.unwrap();
    assert_eq!(answer.status, 206);
    assert!(answer.body == bytes[part]);
}

/// Reads a result as it comes, and compares it.
async fn fetch(client: &Client, id: &str, bytes: &[u8]) {
    let request = client
        .request(Method::GET, &format!("/v1/jobs/{id}/result"))
        .timeout(LIMIT);
    let mut answer = client.open(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.content_length(), Some(SIZE as u64));
    let mut place = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        assert!(piece == bytes[place..place + piece.len()], "at {place}");
        place += piece.len();
    }
    assert_eq!(place, SIZE);
}
