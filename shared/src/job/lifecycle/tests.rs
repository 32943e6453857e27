//! Properties that hold for every sequence of moves.

use proptest::prelude::*;

use super::*;

const MOVES: [Move; 10] = [
    Move::Enqueue,
    Move::Claim,
    Move::Succeed,
    Move::Fail,
    Move::RetryLater,
    Move::Rescue,
    Move::Release,
    Move::Cancel,
    Move::RequestCancel,
    Move::Retry,
];

fn make(job: Lifecycle, attempted: Move) -> Result<Lifecycle, IllegalMove> {
    match attempted {
        Move::Enqueue => job.enqueue(),
        Move::Claim => job.claim(),
        Move::Succeed => job.succeed(),
        Move::Fail => job.fail(),
        Move::RetryLater => job.retry_later(),
        Move::Rescue => job.rescue(),
        Move::Release => job.release(),
        Move::Cancel => job.cancel(),
        Move::RequestCancel => job.request_cancel(),
        Move::Retry => job.retry(),
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    prop::sample::select(MOVES.as_slice())
}

proptest! {
    #[test]
    fn every_walk_keeps_the_invariants(
        moves in prop::collection::vec(any_move(), 0..200),
        max_attempts in 1_u32..5,
        scheduled: bool,
    ) {
        let mut job = Lifecycle::submitted(max_attempts, scheduled);
        let mut charged = 0_u32;
        for attempted in moves {
            let before = job;
            match make(job, attempted) {
                Err(refusal) => prop_assert_eq!(refusal, IllegalMove { state: job.state, attempted }),
                Ok(after) => {
                    job = after;
                    match attempted {
                        Move::Claim => charged += 1,
                        Move::Release if after.state == State::Queued => charged -= 1,
                        _ => {}
                    }
                    if before.state.is_terminal() {
                        prop_assert_eq!(attempted, Move::Retry);
                    }
                    if attempted != Move::Release {
                        prop_assert!(after.attempt >= before.attempt);
                    }
                }
            }
            prop_assert!(charged <= job.max_attempts, "executions stay within max_attempts");
            prop_assert!(job.attempt <= job.max_attempts);
            prop_assert!(job.crashes <= CRASH_LIMIT);
            prop_assert!(
                !job.cancel_requested || matches!(job.state, State::Running | State::Cancelled),
                "a request to stop never outlives the attempt that it was for"
            );
        }
    }

    #[test]
    fn a_job_that_kills_every_worker_ends_within_three_crashes(max_attempts in 1_u32..50) {
        let mut job = Lifecycle::submitted(max_attempts, false);
        let mut runs = 0;
        while !job.state.is_terminal() {
            job = job.claim().unwrap().rescue().unwrap();
            runs += 1;
        }
        prop_assert_eq!(job.state, State::Failed);
        prop_assert_eq!(runs, max_attempts.min(CRASH_LIMIT));
    }
}

/// The whole table: which states each move leads to, and that every other one is refused.
#[test]
fn the_table_of_moves_is_exactly_this() {
    use State::{Cancelled, Failed, Queued, Running, Scheduled, Succeeded};

    let job = |state, cancel_requested| Lifecycle {
        state,
        attempt: 1,
        max_attempts: 3,
        crashes: 0,
        cancel_requested,
    };
    let legal = [
        (Move::Enqueue, Scheduled, Queued),
        (Move::Claim, Queued, Running),
        (Move::Succeed, Running, Succeeded),
        (Move::Fail, Scheduled, Failed),
        (Move::Fail, Queued, Failed),
        (Move::Fail, Running, Failed),
        (Move::RetryLater, Running, Scheduled),
        (Move::Rescue, Running, Queued),
        (Move::Release, Running, Queued),
        (Move::Cancel, Scheduled, Cancelled),
        (Move::Cancel, Queued, Cancelled),
        (Move::RequestCancel, Running, Running),
        (Move::Retry, Failed, Queued),
        (Move::Retry, Cancelled, Queued),
    ];
    for attempted in MOVES {
        for from in State::ALL {
            let expected = legal
                .iter()
                .find(|(legal, legal_from, _)| (*legal, *legal_from) == (attempted, from))
                .map(|(_, _, to)| *to);
            let actual = make(job(from, false), attempted).ok().map(|job| job.state);
            assert_eq!(actual, expected, "{attempted:?} from {from}");
        }
    }
    for attempted in [Move::Cancel, Move::RetryLater, Move::Rescue, Move::Release] {
        let stopped = make(job(Running, true), attempted).unwrap();
        assert_eq!(
            stopped.state, Cancelled,
            "{attempted:?} of a job told to stop"
        );
    }
}
