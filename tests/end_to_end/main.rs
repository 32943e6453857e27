//! The product as its users see it: processes, HTTP, signals. Each test runs in both modes unless
//! its module says otherwise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod cancelling;
mod checking;
mod contract;
mod events;
mod failing;
mod failure_points;
mod handed_over;
mod held_at_once;
mod keys;
mod killed;
mod large_payloads;
mod large_results;
mod listing;
mod load;
mod logs;
mod metrics;
mod moving;
mod operating;
mod panics;
mod poisoned;
mod real_input;
mod redaction;
mod redis_lost;
mod sqlite_killed;
mod stub;
mod traces;
mod way_of_a_job;

/// Makes a test for each mode of each of these functions, which take the mode.
macro_rules! in_both_modes {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name(coatcheck_tests::deployment::Mode::Embedded).await;
            })+
        }
        mod distributed {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name(coatcheck_tests::deployment::Mode::Distributed).await;
            })+
        }
    };
}
pub(crate) use in_both_modes;
