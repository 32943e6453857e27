//! What keeps the store and the queue in order.
//!
//! Each keeper is woken by a timer, takes no input, and does again what it has to from what the
//! store says now. Any number of them may run side by side, in any number of processes.

mod cleaner;
mod dispatcher;
mod rescuer;

use std::{future::Future, time::Duration};

use coatcheck_shared::{
    backend::Backend,
    queue::{End, Hint},
    settings::Settings,
    store::StoreError,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::{cleaner::Cleaner, dispatcher::Dispatcher, rescuer::Rescuer};
use crate::pause::jittered;

/// How many rows a keeper moves in one statement.
const BATCH: u32 = 500;

/// Something that looks every now and then, and puts right what it finds.
trait Keeper: Send {
    /// What it is called in logs.
    const NAME: &'static str;

    /// Does what there is to do, and says how long to wait before the next look.
    fn sweep(&mut self) -> impl Future<Output = Result<Duration, StoreError>> + Send;
}

/// Starts all of them.
pub(crate) fn start(backend: &Backend, settings: &Settings, tasks: &mut JoinSet<()>) {
    let period = settings.keepers.sweep();
    tasks.spawn(keep(Dispatcher {
        backend: backend.clone(),
        period,
        hint_grace: settings.keepers.hint_grace(),
    }));
    tasks.spawn(keep(Rescuer {
        backend: backend.clone(),
        period,
    }));
    tasks.spawn(keep(Cleaner::new(backend.clone())));
}

async fn keep<K: Keeper>(mut keeper: K) {
    loop {
        let began = Instant::now();
        let swept = keeper.sweep().await;
        metrics::histogram!("coatcheck_keeper_sweep_seconds", "keeper" => K::NAME)
            .record(began.elapsed());
        let pause = match swept {
            Ok(pause) => pause,
            Err(error) => {
                metrics::counter!("coatcheck_keeper_errors_total", "keeper" => K::NAME)
                    .increment(1);
                tracing::warn!(keeper = K::NAME, %error, "a sweep failed and is done again");
                Duration::from_secs(1)
            }
        };
        sleep(jittered(pause)).await;
    }
}

/// Puts hints of jobs that have just become ready into the queue. Where it is away they count as
/// lost, and are pushed again once it is back.
async fn push_ready(backend: &Backend, hints: &[Hint]) {
    if hints.is_empty() {
        return;
    }
    if let Err(error) = backend.queue.push(hints, End::Back).await {
        tracing::debug!(%error, "hints could not be pushed");
    }
}
