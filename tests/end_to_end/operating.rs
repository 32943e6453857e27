//! What an operator does: settings, roles, shutting down.

use std::{path::Path, time::Duration};

use coatcheck_tests::{
    deployment::{Mode, Plan},
    product::{Environment, binary, run_to_end},
};
use serde_json::json;

use crate::in_both_modes;

const SOON: Duration = Duration::from_secs(20);

in_both_modes!(
    a_waiting_poll_is_answered_before_the_end,
    running_jobs_are_finished_before_the_end,
    what_is_over_the_grace_is_handed_back_and_not_charged,
    health_is_asked_by_the_program_itself,
    an_api_that_ends_says_so_while_it_still_answers,
);

async fn a_waiting_poll_is_answered_before_the_end(mode: Mode) {
    let mut deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 2_000}});
    let id = client.submit(&submission).await.unwrap();
    let request = client
        .request(reqwest::Method::GET, &format!("/v1/jobs/{id}"))
        .header("Prefer", "wait=30");
    let waiting = tokio::spawn(async move { client.send(request).await });
    tokio::time::sleep(Duration::from_millis(500)).await;

    let api = &mut deployment.apis()[0];
    api.terminate().unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let status = api.wait(Duration::from_secs(30)).unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

async fn running_jobs_are_finished_before_the_end(mode: Mode) {
    let mut deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 2_000}});
    let id = client.submit(&submission).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();

    let mut worker = deployment.workers().remove(0);
    worker.terminate().unwrap();
    assert_eq!(worker.wait(SOON).unwrap().code(), Some(0));
    if mode == Mode::Embedded {
        deployment.start_api().unwrap();
    }
    let job = deployment.client().unwrap().job(&id).await.unwrap();
    assert_eq!(
        job["state"], "succeeded",
        "finished before the process ended: {job}"
    );
}

async fn what_is_over_the_grace_is_handed_back_and_not_charged(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set("COATCHECK_WORKER__GRACE_S", 1)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    let submission = json!({"kind": "sleep", "payload": {"ms": 4_000}, "max_attempts": 1});
    let id = client.submit(&submission).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();

    let mut worker = deployment.workers().remove(0);
    worker.terminate().unwrap();
    assert_eq!(worker.wait(SOON).unwrap().code(), Some(0));
    deployment.start_worker().unwrap();
    let client = deployment.client().unwrap();
    let job = client.wait_for_end(&id, SOON).await.unwrap();
    assert_eq!(
        job["state"], "succeeded",
        "its one attempt was not used up: {job}"
    );
}

async fn health_is_asked_by_the_program_itself(mode: Mode) {
    let mut deployment = Plan::new(mode).start().await.unwrap();
    let client = deployment.client().unwrap();
    let mut environment = deployment.environment().clone();
    environment.insert("COATCHECK_LISTEN".to_owned(), "127.0.0.1:1".to_owned());
    let folder = deployment.folder().to_owned();
    let health = |environment: &Environment| {
        let output = run_to_end(&binary().unwrap(), &["health"], environment, &folder).unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    environment.insert(
        "COATCHECK_WORKER__LISTEN".to_owned(),
        "127.0.0.1:1".to_owned(),
    );
    let (status, said) = health(&environment);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("nobody listens"), "{said}");

    let submission = json!({"kind": "sleep", "payload": {"ms": 20_000}});
    let id = client.submit(&submission).await.unwrap();
    client.wait_for(&id, &["running"], SOON).await.unwrap();
    let worker = &mut deployment.workers()[0];
    let variable = match mode {
        Mode::Embedded => "COATCHECK_LISTEN",
        Mode::Distributed => "COATCHECK_WORKER__LISTEN",
    };
    environment.insert(variable.to_owned(), worker.address().to_string());
    let (status, said) = health(&environment);
    assert_eq!(status, Some(0), "{said}");

    // An API that drains serves; a worker that does takes no more jobs.
    if mode == Mode::Distributed {
        worker.terminate().unwrap();
        while health(&environment).0 == Some(0) {}
        let (status, said) = health(&environment);
        assert_eq!(status, Some(1));
        assert!(said.contains("shutting-down"), "{said}");
    }
}

async fn an_api_that_ends_says_so_while_it_still_answers(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set("COATCHECK_LIMITS__LAST_CALL_S", 5)
        .start()
        .await
        .unwrap();
    let client = deployment.client().unwrap();
    assert_eq!(client.get("/readyz").await.unwrap().status, 200);
    deployment.apis()[0].terminate().unwrap();
    let answer = loop {
        let answer = client.get("/readyz").await.unwrap();
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["type"], "/problems/shutting-down");
    let submission = json!({"kind": "sleep", "payload": {"ms": 1}});
    client.submit(&submission).await.unwrap();
    let status = deployment.apis()[0].wait(SOON).unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

/// What a process that is to refuse its settings says.
fn refusal(arguments: &[&str], settings: &[(&str, &str)], folder: &Path) -> String {
    let environment: Environment = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let output = run_to_end(&binary().unwrap(), arguments, &environment, folder).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
    said
}

#[test]
fn bad_settings_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value, named) in [
        (
            "COATCHECK_WORKER__CONCURRENCY",
            "many",
            "COATCHECK_WORKER__CONCURRENCY",
        ),
        (
            "COATCHECK_WORKER__CONCURENCY",
            "1",
            "COATCHECK_WORKER__CONCURENCY",
        ),
        ("COATCHECK_WORKER__LEASE_S", "0", "worker.lease_s"),
        ("COATCHECK_AUTH__ADMIN_KEY", "short", "auth.admin_key"),
        ("DATABASE_URL", "mysql://here/db", "DATABASE_URL"),
        ("COATCHECK_CONFIG", "/no/such/file.toml", "COATCHECK_CONFIG"),
    ] {
        let said = refusal(&[], &[(variable, value)], folder.path());
        assert!(said.contains(named), "{variable}={value}: {said}");
    }
}

#[test]
fn a_role_of_its_own_needs_its_servers() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    for role in ["api", "worker"] {
        let said = refusal(&[role], &[], folder.path());
        assert!(said.contains("DATABASE_URL"), "{role}: {said}");
        let said = refusal(&[role], &[postgres], folder.path());
        assert!(said.contains("REDIS_URL"), "{role}: {said}");
    }
}

#[tokio::test]
async fn migrating_twice_changes_nothing_and_an_empty_database_is_refused() {
    use coatcheck_tests::{database::Database, product::migrate};

    let folder = tempfile::tempdir().unwrap();
    let name = format!("migrate-{}", std::process::id());
    let database = Database::create(&name).await.unwrap();
    let environment = Environment::from([
        ("DATABASE_URL".to_owned(), database.url().to_owned()),
        ("REDIS_URL".to_owned(), "redis://127.0.0.1:1".to_owned()),
    ]);
    let output = run_to_end(&binary().unwrap(), &["api"], &environment, folder.path()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("coatcheck migrate"), "{said}");
    migrate(&binary().unwrap(), &environment, folder.path()).unwrap();
    migrate(&binary().unwrap(), &environment, folder.path()).unwrap();
}
