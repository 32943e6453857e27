//! The HTTP contract, row by row, from outside.

mod malformed;
mod row;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use coatcheck_tests::{
    client::Client,
    deployment::{Mode, Plan},
};

use self::row::{Names, Row, Section};
use crate::in_both_modes;

in_both_modes!(every_row_holds, every_malformed_request_is_refused);

const ADMIN_KEY: &str = "a-first-key-for-the-contract";

const SETTINGS: &str = "[kinds.render]\nimplemented = false\n\
                        [commands.cat]\nprogram = '/bin/cat'\ncontent_type = 'application/x-cat'\n";

/// How long a row that holds in the end may take over it.
const PATIENCE: Duration = Duration::from_secs(10);

async fn every_row_holds(mode: Mode) {
    let sections = Section::all(include_str!("rows.txt"));
    let mut failed = Vec::new();
    for section in &sections {
        failed.extend(failing_rows(mode, section).await);
    }
    let rows = sections.iter().map(|section| section.rows.len()).sum();
    report(mode, "rows of the contract", rows, &failed);
}

/// Those of a section that do not hold, each with what is wrong, on a server of its own.
async fn failing_rows(mode: Mode, section: &Section) -> Vec<String> {
    let deployment = Plan::new(mode)
        .config(format!("{}\n{SETTINGS}", section.settings))
        .set("COATCHECK_AUTH__MODE", "keys")
        .set("COATCHECK_AUTH__ADMIN_KEY", ADMIN_KEY)
        .set("COATCHECK_LIMITS__BODY_BYTES", 4_096)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let mut names = Names::from([
        ("admin".to_owned(), ADMIN_KEY.to_owned()),
        ("bad".to_owned(), "another-key-that-nobody-knows".to_owned()),
        ("long".to_owned(), "x".repeat(9_000)),
        ("big".to_owned(), "x".repeat(5_000)),
    ]);
    let mut failed = Vec::new();
    let mut problems = BTreeMap::new();
    for row in &section.rows {
        let faults = try_row(row, &client, &mut names, &mut problems).await;
        if !faults.is_empty() {
            failed.push(format!("{}: {}", row.situation, faults.join("; ")));
        }
    }
    failed.extend(unexplained(&client, problems).await);
    failed
}

async fn try_row(
    row: &Row,
    client: &Client,
    names: &mut Names,
    problems: &mut BTreeMap<String, BTreeSet<u16>>,
) -> Vec<String> {
    let began = Instant::now();
    loop {
        let answer = row.send(client, names).await;
        if answer.header("content-type") == "text/event-stream"
            && let Some((_, rest)) = answer.text().rsplit_once("id: ")
        {
            let id = rest.lines().next().unwrap_or_default();
            names.insert("last-event".to_owned(), id.trim().to_owned());
        }
        if answer.status >= 400
            && let Some(problem) = answer.json()["type"].as_str()
        {
            let statuses = problems.entry(problem.to_owned()).or_default();
            statuses.insert(answer.status);
        }
        let faults = row.faults(&answer, names);
        if faults.is_empty() || !row.is_patient() || began.elapsed() > PATIENCE {
            return faults;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Each type of problem that was seen has one status, and its path explains it.
async fn unexplained(client: &Client, problems: BTreeMap<String, BTreeSet<u16>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, statuses) in problems {
        if statuses.len() != 1 {
            faults.push(format!("{path} has the statuses {statuses:?}"));
        }
        let page = client.get(&path).await.unwrap();
        if page.status != 200 || page.body.is_empty() {
            faults.push(format!("{path} is not explained: {}", page.status));
        }
    }
    faults
}

async fn every_malformed_request_is_refused(mode: Mode) {
    let mut deployment = Plan::new(mode)
        // Beyond what sending the longest of them in pieces takes on a busy machine.
        .set("COATCHECK_LIMITS__REQUEST_S", 5)
        .start()
        .await
        .unwrap();
    let address = deployment.apis()[0].address();
    let checked = tokio::task::spawn_blocking(move || malformed::check(address));
    let (rows, failed) = checked.await.unwrap();
    report(mode, "malformed requests", rows, &failed);
    // Nothing of them became a job.
    let list = deployment.client().unwrap().get("/v1/jobs").await.unwrap();
    assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(0));
}

fn report(mode: Mode, what: &str, rows: usize, failed: &[String]) {
    #[expect(clippy::print_stderr, reason = "it says how many rows hold")]
    {
        eprintln!("{mode:?}: {} of {rows} {what} hold", rows - failed.len());
    }
    assert!(failed.is_empty(), "{mode:?}:\n{}", failed.join("\n"));
}
