//! Log lines, and the trace that they belong to.

use std::time::Duration;

use coatcheck_tests::deployment::{Mode, Plan};
use serde_json::{Value, json};

use crate::{in_both_modes, real_input::TargetServer};

const SOON: Duration = Duration::from_secs(20);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

in_both_modes!(
    each_line_of_a_run_names_its_job,
    the_trace_of_the_request_reaches_the_handler,
);

/// The lines of a log, each of which must be JSON.
fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

async fn each_line_of_a_run_names_its_job(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set("COATCHECK_JOBS__BACKOFF__BASE_S", 0.05)
        .set("COATCHECK_JOBS__BACKOFF__CAP_S", 0.1)
        .config("[commands.wrong]\nprogram = \"/bin/false\"\n")
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "command", "payload": {"command": "wrong"}, "max_attempts": 2});
    let id = client.submit(&submission).await.unwrap();
    client.wait_for_end(&id, SOON).await.unwrap();

    let log = deployment.workers()[0].log().unwrap();
    let of_the_job: Vec<String> = lines(&log)
        .iter()
        .map(Value::to_string)
        .filter(|line| line.contains(&id) && line.contains("attempt"))
        .collect();
    for attempt in [1, 2] {
        assert!(
            of_the_job.iter().any(|line| {
                line.contains("\"command\"") && line.contains(&format!("\"attempt\":{attempt}"))
            }),
            "a line of attempt {attempt}: {log}"
        );
    }
}

async fn the_trace_of_the_request_reaches_the_handler(mode: Mode) {
    let deployment = Plan::new(mode)
        .set("COATCHECK_HTTP__ALLOW_PRIVATE", true)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let target = TargetServer::start(Duration::ZERO, || 200).await;
    let submission = json!({"kind": "http", "payload": {"url": target.url()}});
    let request = client
        .request(reqwest::Method::POST, "/v1/jobs")
        .header("Content-Type", "application/json")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .body(submission.to_string());
    let accepted = client.send(request).await.unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    client.result(&id, SOON).await.unwrap();
    let seen = target.last_request();
    assert!(seen.contains(TRACE), "{seen}");
}
