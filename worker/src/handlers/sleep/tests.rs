use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use coatcheck_shared::settings::load_from;
use futures::future::join_all;
use serde_json::json;

use super::*;
use crate::{
    context::{Rehearsal, Said},
    handler::Then,
    handlers::builtin,
};

fn rehearsal(ms: u64) -> Rehearsal {
    Rehearsal::of::<SleepHandler>(&json!({"ms": ms})).unwrap()
}

#[tokio::test]
async fn it_sleeps_and_says_so() {
    let rehearsal = rehearsal(1_500);
    let start = Instant::now();
    let result = rehearsal.run(&SleepHandler).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(1_500));
    assert_eq!(result.content_type, "application/json");
    assert_eq!(result.body, br#"{"slept_ms":1500}"#);
    let percents: Vec<f32> = rehearsal
        .said()
        .into_iter()
        .map(|said| match said {
            Said::Progress(percent, _) => percent.round(),
            Said::Log(line) => panic!("logged {line}"),
        })
        .collect();
    assert_eq!(percents, [33.0, 67.0]);
}

#[tokio::test]
async fn a_short_sleep_reports_nothing_and_a_long_one_little() {
    for ms in [0, 100] {
        let rehearsal = rehearsal(ms);
        rehearsal.run(&SleepHandler).await.unwrap();
        assert_eq!(rehearsal.said(), []);
    }
    assert_eq!([101, 1_000, 5_000, 86_400_000].map(steps), [2, 2, 10, 10]);
}

#[tokio::test]
async fn it_ends_promptly_when_it_is_cancelled() {
    let rehearsal = rehearsal(60_000);
    let start = Instant::now();
    let (outcome, ()) = tokio::join!(rehearsal.run(&SleepHandler), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        rehearsal.context().cancellation().cancel();
    });
    outcome.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_given_up() {
    for payload in [json!({}), json!({"ms": -1}), json!({"ms": 1, "s": 1})] {
        let rehearsal = Rehearsal::of::<SleepHandler>(&payload).unwrap();
        let error = rehearsal.run(&SleepHandler).await.unwrap_err();
        assert_eq!(error.into_parts().2, Then::Fail, "{payload}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sleeps_run_at_once_in_one_process() {
    let registry = Arc::new(builtin(&load_from("").unwrap()).unwrap());
    let before_kib = resident_kib();
    let start = Instant::now();
    let jobs = (0..10_000).map(|_| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            let rehearsal = rehearsal(1_000);
            let context = rehearsal.context();
            let handler = registry.handler(context.kind()).unwrap();
            let payload = Bytes::from_static(b"{\"ms\":1000}");
            handler.run(payload, context).await
        })
    });
    let outcomes = join_all(jobs).await;
    let elapsed = start.elapsed();
    let grown_kib = resident_kib().saturating_sub(before_kib);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.as_ref().unwrap().is_ok())
    );
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert!(grown_kib < 512 * 1_024, "{grown_kib} KiB");
    #[expect(clippy::print_stderr, reason = "a measurement, shown by --nocapture")]
    {
        eprintln!("10,000 sleeps of 1 s: {elapsed:?}, {grown_kib} KiB more");
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
