//! The worker as a whole, on a real store and a real queue.

mod bed;
mod cancelling;
mod cleaning;
mod ending;
mod fallback;
mod hints;
mod leases;
mod outage;
mod payloads;
mod script;
mod sharing;
mod shutting_down;
mod streaming;
mod suspects;
