#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::*;

/// A bound, not a measure: what is explored here takes a fraction of it.
const LIMIT: Duration = Duration::from_secs(180);

fn small(guards: Guards) -> Protocol<2, 2> {
    Protocol {
        guards,
        faults: 2,
        cancels: 1,
        max_attempts: 2,
        poisons: 0,
    }
}

/// Two jobs that kill whoever runs them, among others; nothing else dies.
fn poisoned(guards: Guards) -> Protocol<3, 1> {
    Protocol {
        guards,
        faults: 0,
        cancels: 0,
        max_attempts: 4,
        poisons: 2,
    }
}

/// Visits every state; how many there are.
fn visit_all<const J: usize, const W: usize>(protocol: Protocol<J, W>) -> usize {
    let begun = Instant::now();
    let checker = protocol
        .checker()
        .threads(2)
        .timeout(LIMIT)
        .spawn_bfs()
        .join();
    checker.assert_properties();
    let states = checker.unique_state_count();
    #[expect(clippy::print_stdout, reason = "it says how much was looked at")]
    {
        println!(
            "{states} states, {} steps deep, in {:.1} s",
            checker.max_depth(),
            begun.elapsed().as_secs_f64()
        );
    }
    assert!(begun.elapsed() < LIMIT, "not all was visited");
    states
}

/// The first violation that is found, step by step.
fn violation<const J: usize, const W: usize>(protocol: Protocol<J, W>) -> String {
    let checker = protocol
        .checker()
        .threads(2)
        .timeout(LIMIT)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let violated = checker
        .discoveries()
        .into_iter()
        .find(|(name, _)| *name != "every job succeeds");
    let (name, path) = violated.expect("the guard was not missed");
    let steps: Vec<String> = path
        .into_actions()
        .iter()
        .map(|step| format!("{step:?}"))
        .collect();
    #[expect(clippy::print_stdout, reason = "it says what is lost")]
    {
        println!("{name}: {}", steps.join(", "));
    }
    name.to_owned()
}

#[test]
fn a_million_states_hold_every_guarantee() {
    let states = visit_all(small(Guards::ALL));
    assert!(states >= 1_000_000, "only {states}");
}

#[test]
fn killers_fail_and_their_neighbours_do_not() {
    visit_all(poisoned(Guards::ALL));
}

#[test]
fn without_the_attempt_in_the_finish_a_stale_end_is_recorded() {
    let guards = Guards {
        attempt: false,
        ..Guards::ALL
    };
    assert_eq!(violation(small(guards)), "nothing goes wrong");
}

#[test]
fn without_the_state_in_the_claim_a_job_runs_twice() {
    let guards = Guards {
        claim: false,
        ..Guards::ALL
    };
    violation(small(guards));
}

#[test]
fn without_the_dispatcher_a_job_waits_for_ever() {
    let guards = Guards {
        dispatcher: false,
        ..Guards::ALL
    };
    assert_eq!(
        violation(small(guards)),
        "where nothing can happen, every job has ended"
    );
}

#[test]
fn without_the_rescuer_a_job_runs_for_ever() {
    let guards = Guards {
        rescuer: false,
        ..Guards::ALL
    };
    assert_eq!(
        violation(small(guards)),
        "where nothing can happen, every job has ended"
    );
}

#[test]
fn where_suspects_run_beside_others_a_neighbour_fails() {
    let guards = Guards {
        suspects_run_apart: false,
        ..Guards::ALL
    };
    assert_eq!(
        violation(poisoned(guards)),
        "a neighbour of a killer does not fail"
    );
}
