use std::{
    fs,
    sync::{Mutex, mpsc::channel},
    time::Instant,
};

use futures::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::store::sqlite::statement::{execute, row};

const SOON: Duration = Duration::from_secs(20);
const ADD: &str = "INSERT INTO numbers (number) VALUES ($1)";

/// A writer to a file with a table of numbers, each of which can be there once.
fn writer() -> (Arc<Writer>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.sqlite3");
    let numbers = "CREATE TABLE numbers (number INTEGER PRIMARY KEY)";
    Connection::open(&path)
        .unwrap()
        .execute_batch(numbers)
        .unwrap();
    (Arc::new(Writer::start(path, SOON).unwrap()), folder)
}

async fn add(writer: &Writer, number: i64) -> Result<i64, StoreError> {
    let add = move |connection: &Connection| {
        execute(connection, ADD, &[&number])?;
        Ok(number)
    };
    writer.write(add).await
}

async fn count(writer: &Writer) -> i64 {
    let count = |connection: &Connection| {
        let text = "SELECT count(*) FROM numbers";
        Ok(row(connection, text, &[], |row| row.get(0))?.unwrap())
    };
    writer.write(count).await.unwrap()
}

/// Keeps the thread until the sender is dropped, so that what is asked meanwhile waits together.
async fn keep_busy(writer: &Arc<Writer>) -> std::sync::mpsc::Sender<()> {
    let (release, released) = channel();
    let (begun, has_begun) = oneshot::channel();
    let (released, begun) = (Mutex::new(released), Mutex::new(Some(begun)));
    let writer = writer.clone();
    tokio::spawn(async move {
        let wait = move |_: &Connection| {
            if let Some(begun) = begun.lock().unwrap().take() {
                begun.send(()).unwrap();
            }
            let _ = released.lock().unwrap().recv_timeout(SOON);
            Ok(())
        };
        writer.write(wait).await.unwrap();
    });
    has_begun.await.unwrap();
    release
}

/// How many commits a reader can tell apart.
fn commits(connection: &Connection) -> i64 {
    connection
        .pragma_query_value(None, "data_version", |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn what_waits_together_shares_a_commit_and_each_is_told_its_own() {
    let (writer, folder) = writer();
    let reader = Connection::open(folder.path().join("test.sqlite3")).unwrap();
    let busy = keep_busy(&writer).await;
    let before = commits(&reader);
    let adding = join_all((0..MOST_TOGETHER as i64).map(|number| add(&writer, number)));
    let (added, ()) = tokio::join!(adding, async { drop(busy) });
    let added: Vec<i64> = added.into_iter().map(Result::unwrap).collect();
    assert_eq!(added, (0..MOST_TOGETHER as i64).collect::<Vec<_>>());
    assert_eq!(commits(&reader), before + 1);
    assert_eq!(count(&writer).await, MOST_TOGETHER as i64);
}

#[tokio::test]
async fn one_that_is_refused_or_panics_fails_alone() {
    let (writer, _folder) = writer();
    add(&writer, 1).await.unwrap();
    let busy = keep_busy(&writer).await;
    let panicking = |_: &Connection| -> Result<(), StoreError> { panic!("as it is told to") };
    let (good, refused, panicked, other, ()) = tokio::join!(
        add(&writer, 2),
        add(&writer, 1),
        writer.write(panicking),
        add(&writer, 3),
        async { drop(busy) },
    );
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert!(
        matches!(panicked, Err(StoreError::Panicked)),
        "{panicked:?}"
    );
    assert_eq!((good.unwrap(), other.unwrap()), (2, 3));
    assert_eq!(count(&writer).await, 3);
}

#[tokio::test]
async fn one_that_nobody_waits_for_any_more_is_not_made() {
    let (writer, _folder) = writer();
    let busy = keep_busy(&writer).await;
    let given_up = tokio::time::timeout(Duration::from_millis(20), add(&writer, 1));
    assert!(given_up.await.is_err());
    drop(busy);
    assert_eq!(count(&writer).await, 0);
}

#[tokio::test]
async fn while_another_holds_the_file_it_is_unavailable_and_then_goes_on() {
    let (_, folder) = writer();
    let path = folder.path().join("test.sqlite3");
    let writer = Writer::start(path.clone(), Duration::from_millis(50)).unwrap();
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    assert!(add(&writer, 1).await.unwrap_err().is_unavailable());
    assert!(begun.elapsed() < SOON);
    other.execute_batch("ROLLBACK").unwrap();
    add(&writer, 1).await.unwrap();
}

#[tokio::test]
async fn it_is_told_that_the_file_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.sqlite3");
    let refused = Writer::start(path.clone(), SOON).err().unwrap();
    assert!(refused.is_unavailable(), "{refused}");
    assert!(!fs::exists(path).unwrap());
}

#[tokio::test]
async fn after_a_fault_of_the_disk_none_of_a_commit_is_there_and_the_file_is_opened_anew() {
    let (writer, _folder) = writer();
    // It goes with its connection.
    let fill = |connection: &Connection| Ok(connection.pragma_update(None, "max_page_count", 2)?);
    writer.write(fill).await.unwrap();
    let busy = keep_busy(&writer).await;
    let too_many = |connection: &Connection| {
        let many = "INSERT INTO numbers WITH RECURSIVE n(x) AS \
                    (SELECT 100 UNION ALL SELECT x + 1 FROM n WHERE x < 10000) SELECT x FROM n";
        execute(connection, many, &[])
    };
    let (small, large, ()) = tokio::join!(add(&writer, 1), writer.write(too_many), async {
        drop(busy)
    });
    assert!(large.unwrap_err().is_unavailable());
    assert!(small.unwrap_err().is_unavailable());
    assert_eq!(count(&writer).await, 0);
    assert_eq!(writer.write(too_many).await.unwrap(), 9_901);
}

#[tokio::test]
async fn a_statement_with_more_or_fewer_parameters_than_it_is_given_is_refused() {
    let (writer, _folder) = writer();
    let fewer = |connection: &Connection| execute(connection, ADD, &[]);
    let more = |connection: &Connection| execute(connection, ADD, &[&1, &2]);
    assert!(writer.write(fewer).await.is_err());
    assert!(writer.write(more).await.is_err());
    assert_eq!(count(&writer).await, 0);
}
