//! The suite that every queue must pass.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{End, Hint, Lane, Queue};
use crate::{
    clock::SystemClock,
    job::{JobId, Priority},
};

/// Long enough for a busy machine, where something must come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where nothing may come.
const NOT_LONG: Duration = Duration::from_millis(150);

/// Makes one test of each case. `$start` is an async function that gives a new, empty queue and
/// what must live as long as it does.
macro_rules! queue_conforms {
    ($start:path) => {
        queue_conforms! { $start:
            hints_come_in_the_order_they_were_pushed
            a_push_at_the_front_comes_first_and_in_its_order
            one_push_reaches_many_lanes_in_order
            lanes_are_served_in_the_order_given
            no_more_than_the_limit_is_taken
            a_push_wakes_a_waiting_pop_at_once
            a_push_wakes_a_pop_that_waits_for_several_lanes
            a_wait_ends_where_nothing_comes
            without_lanes_or_a_limit_nothing_is_taken
            many_poppers_share_without_loss_or_doubling
            the_oldest_stays_and_the_depth_counts
            a_hundred_thousand_hints_go_through
            other_queues_are_left_alone
            nothing_pushed_is_nothing
            it_answers
        }
    };
    ($start:path: $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (queue, _alive) = $start().await;
                $crate::queue::conformance::$case(queue).await;
            }
        )+
    };
}
pub(crate) use queue_conforms;

pub(crate) fn lane(queue: &str, priority: Priority) -> Lane {
    Lane {
        queue: queue.parse().unwrap(),
        priority,
    }
}

pub(crate) fn hints(lane: &Lane, count: usize) -> Vec<Hint> {
    let hint = |_| Hint {
        id: JobId::generate(&SystemClock),
        lane: lane.clone(),
    };
    (0..count).map(hint).collect()
}

pub(crate) fn ids(hints: &[Hint]) -> Vec<JobId> {
    hints.iter().map(|hint| hint.id).collect()
}

fn normal() -> Lane {
    lane("default", Priority::Normal)
}

async fn pop_now(queue: &Arc<dyn Queue>, lane: &Lane, limit: usize) -> Vec<JobId> {
    let lanes = [lane.clone()];
    queue.pop(&lanes, limit, Duration::ZERO).await.unwrap()
}

pub(crate) async fn hints_come_in_the_order_they_were_pushed(queue: Arc<dyn Queue>) {
    let pushed = hints(&normal(), 10);
    for some in pushed.chunks(3) {
        queue.push(some, End::Back).await.unwrap();
    }
    let mut popped = queue.pop(&[normal()], 4, PATIENCE).await.unwrap();
    popped.extend(pop_now(&queue, &normal(), 100).await);
    assert_eq!(popped, ids(&pushed));
}

pub(crate) async fn a_push_at_the_front_comes_first_and_in_its_order(queue: Arc<dyn Queue>) {
    let pushed = hints(&normal(), 6);
    queue.push(&pushed[4..], End::Back).await.unwrap();
    queue.push(&pushed[2..4], End::Front).await.unwrap();
    queue.push(&pushed[..2], End::Front).await.unwrap();
    assert_eq!(pop_now(&queue, &normal(), 100).await, ids(&pushed));
}

pub(crate) async fn one_push_reaches_many_lanes_in_order(queue: Arc<dyn Queue>) {
    for end in [End::Back, End::Front] {
        let lanes = Priority::ALL.map(|priority| lane("mixed", priority));
        let pushed: Vec<Hint> = (0..30)
            .flat_map(|number| hints(&lanes[number * 7 % 3], 1 + number % 2))
            .collect();
        queue.push(&pushed, end).await.unwrap();
        for lane in &lanes {
            let of_lane: Vec<Hint> = pushed
                .iter()
                .filter(|hint| hint.lane == *lane)
                .cloned()
                .collect();
            assert!(!of_lane.is_empty());
            assert_eq!(pop_now(&queue, lane, 100).await, ids(&of_lane), "{end:?}");
        }
    }
}

pub(crate) async fn lanes_are_served_in_the_order_given(queue: Arc<dyn Queue>) {
    let lanes = Priority::ALL.map(|priority| lane("default", priority));
    let [high, normal, low] = [0, 1, 2].map(|number| hints(&lanes[number], 2));
    for pushed in [&low, &normal, &high] {
        queue.push(pushed, End::Back).await.unwrap();
    }
    // One lane a pop, though the limit would allow more.
    for expected in [&high, &normal] {
        let popped = queue.pop(&lanes, 5, PATIENCE).await.unwrap();
        assert_eq!(popped, ids(expected));
    }
    queue.push(&high, End::Back).await.unwrap();
    let backwards = [lanes[2].clone(), lanes[0].clone()];
    for expected in [&low, &high] {
        let popped = queue.pop(&backwards, 5, Duration::ZERO).await.unwrap();
        assert_eq!(popped, ids(expected));
    }
}

pub(crate) async fn no_more_than_the_limit_is_taken(queue: Arc<dyn Queue>) {
    let pushed = hints(&normal(), 5);
    queue.push(&pushed, End::Back).await.unwrap();
    assert_eq!(pop_now(&queue, &normal(), 1).await, ids(&pushed[..1]));
    let popped = queue.pop(&[normal()], 3, PATIENCE).await.unwrap();
    assert_eq!(popped, ids(&pushed[1..4]));
    assert_eq!(queue.depth(&normal()).await.unwrap(), 1);
}

pub(crate) async fn a_push_wakes_a_waiting_pop_at_once(queue: Arc<dyn Queue>) {
    wake(queue, &[normal()], &normal()).await;
}

pub(crate) async fn a_push_wakes_a_pop_that_waits_for_several_lanes(queue: Arc<dyn Queue>) {
    let lanes = Priority::ALL.map(|priority| lane("several", priority));
    wake(queue, &lanes, &lanes[2]).await;
}

/// The quickest of several, for the machine may be busy.
async fn wake(queue: Arc<dyn Queue>, lanes: &[Lane], pushed_to: &Lane) {
    let mut quickest = PATIENCE;
    for _ in 0..5 {
        let popper = tokio::spawn({
            let (queue, lanes) = (queue.clone(), lanes.to_vec());
            async move {
                let popped = queue.pop(&lanes, 10, PATIENCE).await.unwrap();
                (popped, Instant::now())
            }
        });
        sleep(Duration::from_millis(100)).await;
        let pushed = hints(pushed_to, 1);
        let before = Instant::now();
        queue.push(&pushed, End::Back).await.unwrap();
        let (popped, woken) = popper.await.unwrap();
        assert_eq!(popped, ids(&pushed));
        quickest = quickest.min(woken.duration_since(before));
    }
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
}

pub(crate) async fn a_wait_ends_where_nothing_comes(queue: Arc<dyn Queue>) {
    for wait in [Duration::ZERO, NOT_LONG] {
        let before = Instant::now();
        assert!(queue.pop(&[normal()], 5, wait).await.unwrap().is_empty());
        let took = before.elapsed();
        assert!(took >= wait && took < wait + PATIENCE / 2, "{took:?}");
    }
}

pub(crate) async fn without_lanes_or_a_limit_nothing_is_taken(queue: Arc<dyn Queue>) {
    let pushed = hints(&normal(), 1);
    queue.push(&pushed, End::Back).await.unwrap();
    for (lanes, limit) in [(vec![], 5), (vec![normal()], 0)] {
        let before = Instant::now();
        assert!(queue.pop(&lanes, limit, NOT_LONG).await.unwrap().is_empty());
        assert!(before.elapsed() >= NOT_LONG);
    }
    assert_eq!(pop_now(&queue, &normal(), 5).await, ids(&pushed));
}

pub(crate) async fn many_poppers_share_without_loss_or_doubling(queue: Arc<dyn Queue>) {
    // More than there are connections to wait on.
    const POPPERS: usize = 40;
    const HINTS: usize = 10_000;
    let poppers: Vec<_> = (0..POPPERS)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut popped = Vec::new();
                loop {
                    let wait = Duration::from_millis(1_000);
                    let some = queue.pop(&[normal()], 1 + number, wait).await.unwrap();
                    if some.is_empty() {
                        return popped;
                    }
                    popped.extend(some);
                }
            })
        })
        .collect();
    let pushed = hints(&normal(), HINTS);
    for some in pushed.chunks(70) {
        queue.push(some, End::Back).await.unwrap();
    }
    let mut popped = Vec::new();
    for popper in poppers {
        popped.extend(popper.await.unwrap());
    }
    assert_eq!(popped.len(), HINTS);
    let distinct: HashSet<JobId> = popped.into_iter().collect();
    assert_eq!(distinct, ids(&pushed).into_iter().collect());
}

pub(crate) async fn the_oldest_stays_and_the_depth_counts(queue: Arc<dyn Queue>) {
    assert_eq!(queue.oldest(&normal()).await.unwrap(), None);
    assert_eq!(queue.depth(&normal()).await.unwrap(), 0);
    let pushed = hints(&normal(), 3);
    queue.push(&pushed, End::Back).await.unwrap();
    for _ in 0..2 {
        let oldest = queue.oldest(&normal()).await.unwrap();
        assert_eq!(oldest, Some(pushed[0].id));
        assert_eq!(queue.depth(&normal()).await.unwrap(), 3);
    }
    pop_now(&queue, &normal(), 2).await;
    assert_eq!(queue.oldest(&normal()).await.unwrap(), Some(pushed[2].id));
    assert_eq!(queue.depth(&normal()).await.unwrap(), 1);
    pop_now(&queue, &normal(), 2).await;
    assert_eq!(queue.oldest(&normal()).await.unwrap(), None);
}

pub(crate) async fn a_hundred_thousand_hints_go_through(queue: Arc<dyn Queue>) {
    const HINTS: usize = 100_000;
    let pushed = hints(&normal(), HINTS);
    let (front, back) = pushed.split_at(HINTS / 2);
    queue.push(back, End::Back).await.unwrap();
    queue.push(front, End::Front).await.unwrap();
    assert_eq!(queue.depth(&normal()).await.unwrap(), HINTS as u64);
    let mut popped = Vec::new();
    while popped.len() < HINTS {
        let some = queue.pop(&[normal()], 9_000, PATIENCE).await.unwrap();
        assert!(!some.is_empty(), "only {} came", popped.len());
        popped.extend(some);
    }
    assert!(popped == ids(&pushed), "the order was lost");
    assert_eq!(queue.depth(&normal()).await.unwrap(), 0);
}

pub(crate) async fn other_queues_are_left_alone(queue: Arc<dyn Queue>) {
    let (one, other) = (
        lane("one", Priority::High),
        lane("one.other", Priority::High),
    );
    let pushed = hints(&other, 2);
    queue.push(&pushed, End::Back).await.unwrap();
    let lanes = Priority::ALL.map(|priority| lane("one", priority));
    assert!(queue.pop(&lanes, 5, NOT_LONG).await.unwrap().is_empty());
    assert_eq!(queue.depth(&one).await.unwrap(), 0);
    assert_eq!(queue.oldest(&one).await.unwrap(), None);
    assert_eq!(pop_now(&queue, &other, 5).await, ids(&pushed));
}

pub(crate) async fn nothing_pushed_is_nothing(queue: Arc<dyn Queue>) {
    for end in [End::Back, End::Front] {
        queue.push(&[], end).await.unwrap();
    }
    assert_eq!(queue.depth(&normal()).await.unwrap(), 0);
}

pub(crate) async fn it_answers(queue: Arc<dyn Queue>) {
    queue.ping().await.unwrap();
}
