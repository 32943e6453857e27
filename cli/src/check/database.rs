//! Whether the database keeps what it commits.

use std::path::Path;

use coatcheck_shared::{
    backend::{self, DatabaseFacts},
    clock::{Clock, SystemClock},
    settings::Settings,
    store::{StoreError, postgres::PostgresFacts, sqlite::SqliteFacts},
};

use super::{
    clock,
    finding::{Finding, Findings},
};

/// How many connections Postgres should have beyond those of this process.
const OTHERS: u32 = 3;

pub(super) async fn check(settings: &Settings, findings: &mut Findings) {
    let asked = SystemClock.now();
    let facts = backend::database_facts(settings).await;
    let answered = SystemClock.now();
    match facts {
        DatabaseFacts::Postgres { facts, schema } => match facts {
            Ok(facts) => {
                judge_postgres(&facts, settings, findings);
                findings.add(judge_schema(schema));
                findings.add(clock::judge(asked, facts.now, answered));
            }
            Err(error) => findings.add(Finding::fail(
                "database",
                format!(
                    "{error}; DATABASE_URL must name a Postgres that is running, with a role and a \
                     database that are there"
                ),
            )),
        },
        DatabaseFacts::Sqlite { path, facts, log } => {
            judge_folder(&path, log, findings);
            judge_file(&path, facts, findings);
        }
    }
}

fn judge_postgres(facts: &PostgresFacts, settings: &Settings, findings: &mut Findings) {
    findings.add(Finding::ok(
        "database",
        format!("PostgreSQL {} answers", facts.version),
    ));
    if facts.is_replica {
        findings.add(Finding::fail(
            "database role",
            "it is a replica, which takes no writes: DATABASE_URL must name the primary",
        ));
    }
    findings.add(if facts.fsync {
        Finding::ok("fsync", "on: what is committed is on disk")
    } else {
        Finding::fail(
            "fsync",
            "off: a power failure loses or damages what was answered 202; it must be on",
        )
    });
    findings.add(if facts.synchronous_commit == "off" {
        Finding::warn(
            "synchronous_commit",
            "off: a crash of the database loses the last moments of what was answered 202; it \
             should be on",
        )
    } else {
        Finding::ok(
            "synchronous_commit",
            format!(
                "{}: a commit is on disk when it is answered",
                facts.synchronous_commit
            ),
        )
    });
    findings.add(if facts.full_page_writes {
        Finding::ok("full_page_writes", "on")
    } else {
        Finding::warn(
            "full_page_writes",
            "off: a power failure can leave pages half written, unless the file system rules that \
             out; it should be on",
        )
    });
    let wanted = settings.store.connections + OTHERS;
    if facts.max_connections < wanted {
        findings.add(Finding::warn(
            "database connections",
            format!(
                "max_connections is {}, and each process takes up to {} (store.connections)",
                facts.max_connections, settings.store.connections
            ),
        ));
    }
}

fn judge_schema(schema: Result<(), StoreError>) -> Finding {
    match schema {
        Ok(()) => Finding::ok("schema", "is this program's"),
        Err(error) => Finding::fail("schema", error.to_string()),
    }
}

fn judge_folder(path: &Path, log: Result<bool, StoreError>, findings: &mut Findings) {
    let folder = path.parent().unwrap_or(path).display();
    findings.add(match log {
        Ok(true) => Finding::ok("folder", format!("{folder} can be written")),
        Ok(false) => Finding::fail(
            "folder",
            format!(
                "{folder} is on a file system on which SQLite cannot keep its write-ahead log, \
                 like one of a network: data_dir must be on a local disk"
            ),
        ),
        Err(error) => Finding::fail(
            "folder",
            format!("{folder} cannot be written (data_dir): {error}"),
        ),
    });
}

fn judge_file(
    path: &Path,
    facts: Option<Result<SqliteFacts, StoreError>>,
    findings: &mut Findings,
) {
    let file = path.display();
    findings.add(match facts {
        None => Finding::ok("database", format!("{file} is made at the first start")),
        Some(Err(error)) => Finding::fail(
            "database",
            format!("{file} cannot be used (does it belong to this user?): {error}"),
        ),
        Some(Ok(SqliteFacts {
            damage: Some(damage),
            ..
        })) => Finding::fail(
            "database",
            format!("{file} is damaged, take it from a backup: {damage}"),
        ),
        Some(Ok(facts)) => {
            let schema = if facts.schema_is_current {
                "its schema is this program's"
            } else {
                "its schema is brought up at the next start"
            };
            Finding::ok("database", format!("{file} is whole, {schema}"))
        }
    });
}
