//! `coatcheck check`, against servers that are set up well and badly.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use coatcheck_tests::{
    deployment::{Mode, Plan},
    product::{Environment, binary, run_to_end},
    servers::{Postgres, Redis},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The exit status, and the status and message of each finding.
fn check(environment: &Environment, folder: &Path) -> (i32, Vec<(String, String, String)>) {
    let binary = binary().unwrap();
    let output = run_to_end(&binary, &["check", "--json"], environment, folder).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let checks = report["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = checks
        .iter()
        .map(|each| {
            (
                text(&each["check"]),
                text(&each["status"]),
                text(&each["message"]),
            )
        })
        .collect();
    (output.status.code().unwrap(), findings)
}

fn status_of<'a>(findings: &'a [(String, String, String)], check: &str) -> &'a str {
    let found = findings.iter().find(|(name, ..)| name == check);
    found.map_or("", |(_, status, _)| status)
}

#[test]
fn a_first_start_is_fit_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    // Whatever this machine lets a process open.
    let name = "COATCHECK_LIMITS__CONNECTIONS".to_owned();
    let small = Environment::from([(name, "10".to_owned())]);
    let (status, findings) = check(&small, folder.path());
    assert_eq!(status, 0, "{findings:?}");
    assert_eq!(status_of(&findings, "database"), "ok", "{findings:?}");
    assert_eq!(status_of(&findings, "folder"), "ok", "{findings:?}");
    assert!(!folder.path().join("data").exists());
    let text = run_to_end(&binary().unwrap(), &["check"], &small, folder.path());
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    assert!(
        text.lines().all(|line| line.starts_with("ok ")) && text.lines().count() == findings.len(),
        "{text}"
    );
}

#[test]
fn wrong_settings_are_findings_too() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = Environment::from([
        ("COATCHECK_WORKER__LEASE_S".to_owned(), "0".to_owned()),
        ("COATCHECK_STORE__COMMITTERS".to_owned(), "0".to_owned()),
    ]);
    let (status, findings) = check(&wrong, folder.path());
    assert_eq!(status, 1);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].2.contains("worker.lease_s"), "{findings:?}");
}

#[test]
fn a_damaged_file_and_a_folder_that_is_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("coatcheck.sqlite3"), "no database at all").unwrap();
    let (status, findings) = check(&Environment::new(), folder.path());
    assert_eq!(
        (status, status_of(&findings, "database")),
        (1, "fail"),
        "{findings:?}"
    );
    fs::remove_dir_all(&data).unwrap();
    fs::write(&data, "a file where the folder should be").unwrap();
    let (status, findings) = check(&Environment::new(), folder.path());
    assert_eq!(
        (status, status_of(&findings, "folder")),
        (1, "fail"),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_running_system_is_fit() {
    let deployment = Plan::new(Mode::Embedded).start().await.unwrap();
    let (status, findings) = check(deployment.environment(), deployment.folder());
    assert_eq!(status, 0, "{findings:?}");
    let deployment = Plan::new(Mode::Distributed).start().await.unwrap();
    let (status, findings) = check(deployment.environment(), deployment.folder());
    assert_eq!(status, 0, "{findings:?}");
    for each in [
        "database",
        "fsync",
        "schema",
        "clock",
        "redis",
        "redis memory",
    ] {
        assert_eq!(status_of(&findings, each), "ok", "{each}: {findings:?}");
    }
}

#[tokio::test]
async fn a_database_that_loses_what_it_commits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start().unwrap();
    let environment = Environment::from([("DATABASE_URL".to_owned(), postgres.url())]);
    let (status, findings) = check(&environment, folder.path());
    assert_eq!(
        (status, status_of(&findings, "schema")),
        (1, "fail"),
        "it was not migrated: {findings:?}"
    );

    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    for statement in [
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "ALTER SYSTEM SET synchronous_commit = off",
        "SELECT pg_reload_conf()",
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    // The server reads its settings again in its own time; this session is told like a new one.
    loop {
        let fsync: String = sqlx::query_scalar("SHOW fsync")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if fsync == "off" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (status, findings) = check(&environment, folder.path());
    assert_eq!(status, 1);
    assert_eq!(status_of(&findings, "fsync"), "fail", "{findings:?}");
    for each in ["full_page_writes", "synchronous_commit"] {
        assert_eq!(status_of(&findings, each), "warn", "{each}: {findings:?}");
    }
    drop(postgres);
    let (status, findings) = check(&environment, folder.path());
    assert_eq!(
        (status, status_of(&findings, "database")),
        (1, "fail"),
        "{findings:?}"
    );
}

#[test]
fn a_redis_that_throws_hints_away_is_warned_of_and_one_that_is_away_refused() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start().unwrap();
    let environment = Environment::from([("REDIS_URL".to_owned(), redis.url())]);
    let (status, findings) = check(&environment, folder.path());
    assert_eq!(status, 0, "{findings:?}");
    assert_eq!(status_of(&findings, "redis memory"), "ok", "{findings:?}");

    let url = redis.url();
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).unwrap();
    stream
        .write_all(b"CONFIG SET maxmemory-policy allkeys-lru\r\n")
        .unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+OK\r\n");
    let (status, findings) = check(&environment, folder.path());
    assert_eq!(
        (status, status_of(&findings, "redis memory")),
        (0, "warn"),
        "{findings:?}"
    );
    drop(redis);
    let (status, findings) = check(&environment, folder.path());
    assert_eq!(
        (status, status_of(&findings, "redis")),
        (1, "fail"),
        "{findings:?}"
    );
}
