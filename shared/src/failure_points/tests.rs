use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::*;
use crate::queue::{End, Hint, Lane, in_process::InProcessQueue};

fn queue_with(text: &str) -> Arc<dyn Queue> {
    Arc::new(queue::FailingQueue {
        queue: Arc::new(InProcessQueue::default()),
        points: Arc::new(FailurePoints::read(text).unwrap()),
    })
}

fn lane() -> Lane {
    Lane {
        queue: crate::job::QueueName::default(),
        priority: crate::job::Priority::Normal,
    }
}

fn hint() -> Hint {
    Hint {
        id: crate::job::JobId::from_uuid(uuid::Uuid::from_u128(7)),
        lane: lane(),
    }
}

#[test]
fn every_point_has_a_name_of_its_own() {
    let all: Vec<&str> = names().collect();
    assert_eq!(all.len(), all.iter().collect::<HashSet<_>>().len());
    for name in [
        "store.insert.after",
        "queue.pop.after",
        "store.finish.after",
        "run.before",
    ] {
        assert!(all.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn an_error_before_leaves_the_call_undone_and_one_after_leaves_it_done() {
    let queue = queue_with("queue.push.before=error@1, queue.push.after=error@1");
    queue.push(&[hint()], End::Back).await.unwrap_err();
    assert_eq!(queue.depth(&lane()).await.unwrap(), 0);
    queue.push(&[hint()], End::Back).await.unwrap_err();
    assert_eq!(queue.depth(&lane()).await.unwrap(), 1);
    queue.push(&[hint()], End::Back).await.unwrap();
}

#[tokio::test]
async fn a_pop_that_took_nothing_does_not_pass_the_point_after_it() {
    let queue = queue_with("queue.pop.after=error@1");
    let pop = || queue.pop(&[], 0, Duration::ZERO);
    assert_eq!(pop().await.unwrap(), []);
    queue.push(&[hint()], End::Back).await.unwrap();
    queue.pop(&[lane()], 1, Duration::ZERO).await.unwrap_err();
    assert_eq!(queue.depth(&lane()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_delay_takes_its_time_and_answers() {
    let queue = queue_with("queue.ping.after=delay:30ms");
    let begun = Instant::now();
    queue.ping().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn chances_come_again_with_their_seed() {
    async fn outcomes() -> Vec<bool> {
        let queue = queue_with("seed=11, queue.ping.before=error@50%");
        let mut outcomes = Vec::new();
        for _ in 0..64 {
            outcomes.push(queue.ping().await.is_ok());
        }
        outcomes
    }
    let first = outcomes().await;
    assert!(first.contains(&true) && first.contains(&false));
    assert_eq!(first, outcomes().await);
}
