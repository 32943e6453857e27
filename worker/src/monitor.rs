//! Apalis around the executor: its monitor, its worker, its layers.

use std::sync::{Arc, Mutex, PoisonError};

use apalis::layers::{WorkerBuilderExt, tracing::TraceLayer};
use apalis_core::{
    monitor::{Monitor, MonitorError},
    task::Task,
    worker::{
        builder::WorkerBuilder,
        ext::{event_listener::EventListenerExt, parallelize::ParallelizeExt},
    },
};
use futures::FutureExt;
use tokio::{sync::mpsc, task::JoinError};

use crate::{apalis_backend::ClaimedJobs, executor::Executor, finisher::Finisher, running::Run};

/// What takes claimed jobs, runs each in a task of its own, and acknowledges it.
pub(crate) fn monitor(
    name: &str,
    claimed: mpsc::Receiver<Run>,
    finisher: Arc<Finisher>,
    executor: Arc<Executor>,
    slots: usize,
) -> Monitor {
    // A backend can be taken once. A worker that was built again would find its jobs nowhere,
    // and is never asked for: nothing here says `should_restart`.
    let source = Mutex::new(Some(ClaimedJobs::new(claimed, finisher.clone())));
    let name = name.to_owned();
    Monitor::new().register(move |_restarts| {
        let taken = source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let backend =
            taken.unwrap_or_else(|| ClaimedJobs::new(mpsc::channel(1).1, finisher.clone()));
        let executor = executor.clone();
        WorkerBuilder::new(name.clone())
            .backend(backend)
            .parallelize(tokio::spawn)
            .layer(
                TraceLayer::new()
                    .make_span_with(|task: &Task<Run>| task.args.hold.span.clone())
                    .on_request(|_: &Task<Run>, _: &tracing::Span| {})
                    .on_response(()),
            )
            .concurrency(slots)
            .catch_panic()
            .on_event(|_, _| {})
            .build(move |run: Run| {
                let executor = executor.clone();
                // In a box: it passes through every layer, and each would move all of it.
                async move { executor.execute(run).await }.boxed()
            })
    })
}

/// Why a monitor is no more.
pub(crate) fn how_it_ended(ended: Result<Result<(), MonitorError>, JoinError>) -> String {
    match ended {
        Ok(Ok(())) => "its apalis workers have ended".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}
