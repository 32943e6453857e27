//! Nothing of a program outlives its attempt.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};

use super::{handler, rehearsal, run, shell, text_of};
use crate::{
    HandlerError,
    context::{Rehearsal, Said},
    handler::Then,
};

/// A child and a grandchild, whose numbers go to the log, and then a wait.
const FAMILY: &str = "sh -c \"sleep 600 & echo \\$! >&2; wait\" & echo $! >&2; echo $$ >&2; wait";

/// The same, deaf to SIGTERM.
const DEAF_FAMILY: &str =
    "trap \"\" TERM; sh -c \"sleep 600 & echo \\$! >&2; wait\" & echo $! >&2; echo $$ >&2; wait";

/// Whether a process is there. One that waits to be reaped is not.
fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "not in time: {what}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// The processes that a family says it is, once they are all there.
async fn family(rehearsal: &Rehearsal) -> Vec<String> {
    let mut ids = Vec::new();
    eventually("three processes", || {
        ids.extend(rehearsal.said().into_iter().map(|said| match said {
            Said::Log(id) => id,
            Said::Progress(..) => panic!("a command reports no progress"),
        }));
        ids.len() == 3
    })
    .await;
    assert!(ids.iter().all(|id| is_alive(id)), "{ids:?}");
    ids
}

/// A family that is running, and the run.
async fn start(
    script: &str,
) -> (
    Vec<String>,
    Arc<Rehearsal>,
    JoinHandle<Option<HandlerError>>,
) {
    let rehearsal = Arc::new(rehearsal(&Value::Null));
    let handler = shell(script);
    let run = tokio::spawn({
        let rehearsal = Arc::clone(&rehearsal);
        async move { rehearsal.run(&handler).await.err() }
    });
    let ids = family(&rehearsal).await;
    (ids, rehearsal, run)
}

/// Cancels a family's run, and tells how long it took to end.
async fn cancel(script: &str) -> (Vec<String>, Duration) {
    let (ids, rehearsal, run) = start(script).await;
    let start = Instant::now();
    rehearsal.context().cancellation().cancel();
    let error = run.await.unwrap().unwrap();
    assert!(error.to_string().contains("stopped"), "{error}");
    (ids, start.elapsed())
}

async fn all_gone(ids: &[String]) {
    eventually("the family's end", || !ids.iter().any(|id| is_alive(id))).await;
}

#[tokio::test]
async fn a_cancellation_ends_children_and_grandchildren() {
    let (ids, took) = cancel(FAMILY).await;
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    all_gone(&ids).await;
}

#[tokio::test]
async fn who_is_deaf_to_sigterm_is_killed_after_two_seconds() {
    let (ids, took) = cancel(DEAF_FAMILY).await;
    assert!((2.0..4.0).contains(&took.as_secs_f64()), "{took:?}");
    all_gone(&ids).await;
}

#[tokio::test]
async fn a_dropped_run_kills_children_and_grandchildren() {
    let (ids, _rehearsal, run) = start(DEAF_FAMILY).await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    all_gone(&ids).await;
    // The leader was this process's own child: nobody else would reap it.
    let leader = Path::new("/proc").join(&ids[2]);
    eventually("the leader's reaping", || !leader.exists()).await;
}

#[tokio::test]
async fn a_program_can_still_speak_while_it_ends() {
    let script =
        "trap \"echo cleaned up >&2; exit 0\" TERM; echo ready >&2; while :; do sleep 0.05; done";
    let rehearsal = rehearsal(&Value::Null);
    let token = rehearsal.context().cancellation().clone();
    let handler = shell(script);
    let (outcome, ()) = tokio::join!(rehearsal.run(&handler), async {
        sleep(Duration::from_millis(500)).await;
        token.cancel();
    });
    outcome.unwrap_err();
    let said = rehearsal.said();
    assert!(
        said.contains(&Said::Log("cleaned up".to_owned())),
        "{said:?}"
    );
}

#[tokio::test]
async fn too_much_output_ends_the_program() {
    let yes = handler("program = '/usr/bin/yes'\noutput_bytes = 1000000");
    let start = Instant::now();
    let (message, _, then) = run(&yes, Value::Null).await.unwrap_err().into_parts();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(then, Then::Fail);
    assert!(
        message.contains("1000000 bytes") && message.contains("output_bytes"),
        "{message}"
    );
    let exact = handler(
        "program = '/usr/bin/head'\nargs = ['-c', '1000000', '/dev/zero']\noutput_bytes = 1000000",
    );
    assert_eq!(
        run(&exact, Value::Null).await.unwrap().body.size(),
        1_000_000
    );
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed_and_not_waited_for() {
    let script = "sleep 600 & echo $!; echo result";
    let start = Instant::now();
    let result = run(&shell(script), Value::Null).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(8));
    let text = text_of(&result);
    let (id, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, "result\n");
    all_gone(&[id.to_owned()]).await;
}

#[tokio::test]
async fn what_a_program_has_started_may_finish_its_writing() {
    let script = "(sleep 0.3; echo late) & echo early";
    assert_eq!(super::output(script).await, "early\nlate\n");
}
