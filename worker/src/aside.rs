//! Work that takes a thread for a while, out of the way of what must not wait for it: leases, timers, the
//! ends of other jobs.

use std::{sync::LazyLock, thread::available_parallelism};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// How much may be done aside at once: more would take the cores from everything else.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.div_ceil(2))
});

/// Does it while another thread goes on with the tasks of this one. A runtime of one thread alone has
/// no other: there they wait.
pub(crate) async fn aside<T>(work: impl FnOnce() -> T) -> T {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    let _turn = TURNS.acquire().await;
    block_in_place(work)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a thread is to be blocked")]
    fn what_is_done_aside_holds_up_no_timer_of_the_only_thread() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let long = Duration::from_millis(600);
        let late = runtime.block_on(async {
            let timer = tokio::spawn(async {
                let set = Instant::now();
                sleep(Duration::from_millis(50)).await;
                set.elapsed()
            });
            let jobs = (0..8).map(|_| tokio::spawn(aside(move || thread::sleep(long))));
            let jobs: Vec<_> = jobs.collect();
            let late = timer.await.unwrap();
            for job in jobs {
                job.abort();
            }
            late
        });
        assert!(late < long, "{late:?}");
    }
}
