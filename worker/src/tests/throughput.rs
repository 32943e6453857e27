//! How many jobs that do nothing get through, for whoever works on it:
//! `cargo test -p coatcheck-worker --release throughput -- --ignored --nocapture`.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    bed::Bed,
    script::{Record, Script},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and proves nothing"]
#[expect(clippy::print_stdout, reason = "it is run to be read")]
async fn jobs_a_second() {
    const JOBS: usize = 20_000;
    let (bed, record) = (Bed::new("").await, Record::default());
    for _ in 0..JOBS / 1_000 {
        let jobs = (0..1_000).map(|_| bed.job(&Script::Succeed)).collect();
        bed.submit(jobs).await;
    }
    let began_at = Instant::now();
    let worker = bed.start(record.registry());
    while record.executions().len() < JOBS || worker.status.running() > 0 {
        sleep(Duration::from_millis(20)).await;
    }
    let took = began_at.elapsed();
    println!(
        "{JOBS} jobs in {took:?}: {:.0} a second",
        JOBS as f64 / took.as_secs_f64()
    );
    worker.end().await.unwrap();
}
