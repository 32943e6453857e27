//! What must hold in every state.

use stateright::{Model, Property};

use crate::{
    protocol::{CRASH_LIMIT, Protocol},
    state::{Hand, State, System},
};

/// Every property of the protocol.
pub(crate) fn all<const JOBS: usize, const WORKERS: usize>()
-> Vec<Property<Protocol<JOBS, WORKERS>>> {
    vec![
        Property::always("nothing goes wrong", |_, system: &System<JOBS, WORKERS>| {
            system.wrong.is_none()
        }),
        Property::always(
            "where nothing can happen, every job has ended",
            |model: &Protocol<JOBS, WORKERS>, system: &System<JOBS, WORKERS>| {
                let mut steps = Vec::new();
                model.actions(system, &mut steps);
                !steps.is_empty()
                    || system.wrong.is_some()
                    || system.rows.iter().all(|row| row.state.is_terminal())
            },
        ),
        Property::always(
            "a job is run by one live lease at a time",
            |_, system: &System<JOBS, WORKERS>| {
                (0..JOBS).all(|job| {
                    let runs = system.workers.iter().filter(|worker| {
                        matches!(worker.hands[job], Hand::Running(_, lease) if !system.has_ended(lease))
                    });
                    runs.count() <= 1
                })
            },
        ),
        Property::always(
            "a neighbour of a killer does not fail",
            |model: &Protocol<JOBS, WORKERS>, system: &System<JOBS, WORKERS>| {
                model.poisons == 0
                    || system.rows[model.poisons..]
                        .iter()
                        .all(|row| row.crashes < CRASH_LIMIT)
            },
        ),
        Property::always(
            "a killer ends by its third crash",
            |model: &Protocol<JOBS, WORKERS>, system: &System<JOBS, WORKERS>| {
                system.rows[..model.poisons]
                    .iter()
                    .all(|row| row.crashes <= CRASH_LIMIT && row.state != State::Succeeded)
            },
        ),
        Property::sometimes(
            "every job succeeds",
            |model: &Protocol<JOBS, WORKERS>, system: &System<JOBS, WORKERS>| {
                model.poisons > 0 || system.rows.iter().all(|row| row.state == State::Succeeded)
            },
        ),
    ]
}
