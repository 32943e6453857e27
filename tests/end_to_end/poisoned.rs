//! Jobs that kill their workers, among others.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use coatcheck_tests::deployment::{Deployment, Mode, Plan};
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(killers_fail_and_their_neighbours_finish);

const KILLERS: usize = 4;
const NEIGHBOURS: usize = 300;
const LIMIT: Duration = Duration::from_secs(180);

/// Killers spread among jobs with as many attempts as the default gives; all come due at once, when
/// they have been answered.
async fn submit_all(deployment: &Deployment) {
    let mut jobs = vec![
        json!({"kind": "sleep", "payload": {"ms": 20}, "queue": "neighbours", "delay_s": 1});
        NEIGHBOURS
    ];
    for killer in 0..KILLERS {
        let place = killer * jobs.len() / KILLERS;
        let job = json!({"kind": "command", "payload": {"command": "killer"}, "queue": "killers",
                         "max_attempts": 10, "delay_s": 1});
        jobs.insert(place, job);
    }
    let client = deployment.client().unwrap();
    let batch = json!({"jobs": jobs, "atomic": true});
    let answer = client.post("/v1/jobs/batch", &batch).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// The jobs of a queue; none while no process answers.
async fn jobs_of(deployment: &Deployment, queue: &str) -> Vec<Value> {
    let Ok(client) = deployment.client() else {
        return Vec::new();
    };
    match client
        .get(&format!("/v1/jobs?limit=1000&queue={queue}"))
        .await
    {
        Ok(page) => page.json()["items"].as_array().cloned().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// Has so many processes run jobs, as a supervisor does; how many had died. One that a killer ends
/// before it has been seen to be ready is started again the next time.
fn keep_up(deployment: &mut Deployment, running: usize) -> usize {
    let deaths = deployment.revive().unwrap_or(1);
    for _ in deployment.workers().len()..running {
        drop(deployment.start_worker());
    }
    deaths
}

fn states(jobs: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts
            .entry(job["state"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}

async fn killers_fail_and_their_neighbours_finish(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .config("[commands.killer]\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"kill -9 $PPID\"]\n")
        .set("COATCHECK_WORKER__LEASE_S", 2)
        .set("COATCHECK_KEEPERS__SWEEP_S", 0.2)
        // So few that killers come one after another, too, as jobs that nobody suspects yet.
        .set("COATCHECK_WORKER__CONCURRENCY", 40)
        .processes(1, 2)
        .start()
        .await
        .unwrap();
    let running = deployment.workers().len();
    submit_all(&deployment).await;
    let begun = Instant::now();
    let mut deaths = 0;
    loop {
        deaths += keep_up(&mut deployment, running);
        let mut all = jobs_of(&deployment, "killers").await;
        all.extend(jobs_of(&deployment, "neighbours").await);
        let ended = |job: &Value| job["finished_at"].is_string();
        if all.len() == KILLERS + NEIGHBOURS && all.iter().all(ended) {
            break;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{deaths} deaths: {:?}",
            states(&all)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let neighbours = jobs_of(&deployment, "neighbours").await;
    let expected = BTreeMap::from([("succeeded".to_owned(), NEIGHBOURS)]);
    assert_eq!(states(&neighbours), expected, "after {deaths} deaths");
    for killer in jobs_of(&deployment, "killers").await {
        assert_eq!(killer["error"]["type"], "crash-limit", "{killer}");
        assert_eq!(killer["attempt"], 3, "{killer}");
    }
    assert!(deaths >= 3, "only {deaths} deaths");
    #[expect(clippy::print_stdout, reason = "nextest shows it where it is asked to")]
    {
        let seconds = begun.elapsed().as_secs_f64();
        println!("{mode:?}: {deaths} deaths, all at their end after {seconds:.1} s");
    }
}
