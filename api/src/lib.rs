//! The HTTP front end: a client hands in a job, is answered at once, and comes back for the
//! result. [`Server`] is all of it; the route table is `routes.rs`.

mod admission;
mod api;
mod body;
mod caller;
mod census;
mod connection;
mod cors;
mod credentials;
mod depths;
mod estimates;
mod exchange;
mod fields;
mod health;
mod idempotency;
mod intake;
mod jobs;
mod key_ring;
mod keys;
mod kinds;
mod openapi;
mod precondition;
mod prefer;
mod problem;
mod query;
mod queues;
mod quotas;
mod range;
mod rate_limit;
mod reply;
mod request_id;
mod retry_after;
mod routes;
mod server;
mod strict_json;
mod trace_context;
mod waiters;

pub use openapi::document;
pub use routes::{Endpoint, endpoints};
pub use server::{ServeError, Server};
