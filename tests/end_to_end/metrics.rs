//! What `/metrics` exports, against the table of all metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use coatcheck_tests::{
    deployment::{Deployment, Mode, Plan},
    http_get::http_get,
    promtool,
};
use serde_json::json;

use crate::in_both_modes;

const SOON: Duration = Duration::from_secs(20);

/// The table, as it is read by people.
const DOCUMENT: &str = include_str!("../../METRICS.md");

/// Those whose first series comes with what they are about: trouble, or a collector.
const ONLY_ON_OCCASION: [&str; 4] = [
    "coatcheck_keeper_errors_total",
    "coatcheck_store_errors_total",
    "coatcheck_redis_errors_total",
    "coatcheck_trace_exports_total",
];

/// Those that need a Redis.
const ONLY_WITH_REDIS: &str = "coatcheck_redis_seconds";

in_both_modes!(every_metric_is_in_the_table_and_the_table_has_no_other);

/// A row of the table.
struct Row {
    metric_type: String,
    labels: BTreeSet<String>,
    from: String,
}

fn table() -> BTreeMap<String, Row> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let row = Row {
            metric_type: cells[2].to_owned(),
            labels: cells[3]
                .split(", ")
                .map(|label| label.trim_matches('`').to_owned())
                .filter(|label| !label.is_empty())
                .collect(),
            from: cells[4].to_owned(),
        };
        (cells[1].trim_matches('`').to_owned(), row)
    })
    .collect()
}

/// The pages of an API and of a worker; the same one where they are one process.
fn pages(deployment: &mut Deployment) -> [(&'static str, String); 2] {
    let api = deployment.apis()[0].address();
    let worker = deployment.workers()[0].address();
    [("api", api), ("worker", worker)].map(|(role, address)| {
        let (status, page) = http_get(address, "/metrics").unwrap();
        assert_eq!(status, 200);
        (role, page)
    })
}

async fn every_metric_is_in_the_table_and_the_table_has_no_other(mode: Mode) {
    let mut deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    for queue in ["default", "another"] {
        let job = json!({"kind": "sleep", "payload": {"ms": 1}, "queue": queue});
        let id = client.submit(&job).await.unwrap();
        client.wait_for_end(&id, SOON).await.unwrap();
    }
    let table = table();
    let began = Instant::now();
    // Some are there only once a keeper has looked, or a queue has been counted.
    let missing = loop {
        let pages = pages(&mut deployment);
        let missing = missing(&table, &pages, mode);
        if missing.is_empty() || began.elapsed() > SOON {
            pages.iter().for_each(|(_, page)| check(&table, page));
            pages.iter().for_each(|(_, page)| check_with_promtool(page));
            break missing;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

/// Rows of the table that a process does not export though it should.
fn missing(
    table: &BTreeMap<String, Row>,
    pages: &[(&'static str, String); 2],
    mode: Mode,
) -> Vec<String> {
    let mut missing = Vec::new();
    for (role, page) in pages {
        let expected = table
            .iter()
            .filter(|(_, row)| row.from == *role || row.from == "both" || mode == Mode::Embedded)
            .filter(|(name, _)| !ONLY_ON_OCCASION.contains(&name.as_str()))
            .filter(|(name, _)| *name != ONLY_WITH_REDIS || mode == Mode::Distributed);
        for (name, _) in expected {
            if !page.contains(&format!("# TYPE {name} ")) {
                missing.push(format!("{role}: {name}"));
            }
        }
    }
    missing
}

/// Each series has a row, with its labels, and each metric its type and an explanation.
fn check(table: &BTreeMap<String, Row>, page: &str) {
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, metric_type) = rest.split_once(' ').unwrap();
            let row = table.get(name);
            let row = row.unwrap_or_else(|| panic!("{name} is not in METRICS.md"));
            assert_eq!(row.metric_type, metric_type, "{name}");
            assert!(page.contains(&format!("# HELP {name} ")), "{name}");
        } else if !line.starts_with('#') {
            check_labels(table, line);
        }
    }
}

fn check_labels(table: &BTreeMap<String, Row>, line: &str) {
    let name = line.split(['{', ' ']).next().unwrap();
    let row = ["", "_bucket", "_sum", "_count"]
        .iter()
        .find_map(|suffix| table.get(name.strip_suffix(suffix)?))
        .unwrap_or_else(|| panic!("{name} is not in METRICS.md"));
    let labels = line
        .split_once('{')
        .map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
    let labels: BTreeSet<String> = labels
        .split("\",")
        .filter_map(|label| Some(label.split_once('=')?.0.to_owned()))
        .filter(|label| label != "le")
        .collect();
    assert_eq!(row.labels, labels, "{line}");
}

/// Prometheus' own judgement.
fn check_with_promtool(page: &str) {
    let mut judging = Command::new(promtool::find().unwrap())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = judging.stdin.take().unwrap();
    input.write_all(page.as_bytes()).unwrap();
    drop(input);
    let output = judging.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
