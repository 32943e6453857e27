//! The protocol as a model: rows, hints, leases, workers, and everything that can go wrong between
//! them. `stateright` visits every state that a few jobs and workers can reach and holds the
//! guarantees against each; with a guard taken out it finds the way to what is then lost.
//!
//! The model is written apart from the product: from the design, and from nothing of `shared`.
//! Every path through it ends, for attempts and faults are bounded. So "nothing is stuck" is a
//! question about single states: where nothing can happen any more, every job has ended.

mod offers;
mod properties;
mod protocol;
mod state;

#[cfg(test)]
mod tests;

pub use self::{
    protocol::{Guards, Protocol},
    state::{Hand, Health, Row, State, Step, System, Wrong},
};
