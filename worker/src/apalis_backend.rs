//! How apalis gets claimed jobs, and how it acknowledges them.
//!
//! The pump, the finisher and the lease keeper run outside apalis's poll loop. This backend
//! passes on what the pump has claimed and never yields an error, which would end the worker:
//! faults are dealt with where they happen.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    error::BoxDynError,
    task::Task,
    worker::context::WorkerContext,
};
use coatcheck_shared::job::Outcome;
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::mpsc;
use tower::{Layer, Service};
use tracing::Instrument;

use crate::{executor::outcome_of_lost_run, finisher::Finisher, running::Run};

/// Claimed jobs, as a backend of apalis. It is exhausted once the pump has ended.
pub(crate) struct ClaimedJobs {
    claimed: mpsc::Receiver<Run>,
    finisher: Arc<Finisher>,
}

impl ClaimedJobs {
    pub(crate) fn new(claimed: mpsc::Receiver<Run>, finisher: Arc<Finisher>) -> Self {
        Self { claimed, finisher }
    }
}

impl Backend for ClaimedJobs {
    type Task = Task<Run>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _context: &mut Context<'_>,
        _worker: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Run>, Infallible>>> {
        let claimed = ready!(self.claimed.poll_recv(context));
        // A worker whose backend is exhausted waits to be stopped, and only then ends.
        if claimed.is_none()
            && let Err(error) = worker.stop()
        {
            tracing::error!(%error, "the worker could not be stopped");
        }
        Poll::Ready(claimed.map(|run| Ok(Task::new(run))))
    }

    fn poll_close(
        &mut self,
        _context: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        self.claimed.close();
        // An exhausted backend ends no worker: apalis waits until someone has stopped it too.
        if let Err(error) = worker.stop() {
            tracing::debug!(%error, "apalis's worker was not stopped");
        }
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for ClaimedJobs {
    type Args = Run;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = AcknowledgeLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _worker: &mut WorkerContext) -> AcknowledgeLayer {
        AcknowledgeLayer {
            finisher: self.finisher.clone(),
        }
    }
}

/// Records each run's outcome before its slot is free again.
#[derive(Clone)]
pub(crate) struct AcknowledgeLayer {
    finisher: Arc<Finisher>,
}

impl<S> Layer<S> for AcknowledgeLayer {
    type Service = Acknowledge<S>;

    fn layer(&self, inner: S) -> Acknowledge<S> {
        Acknowledge {
            inner,
            finisher: self.finisher.clone(),
        }
    }
}

/// See [`AcknowledgeLayer`].
#[derive(Clone)]
pub(crate) struct Acknowledge<S> {
    inner: S,
    finisher: Arc<Finisher>,
}

impl<S> Service<Task<Run>> for Acknowledge<S>
where
    S: Service<Task<Run>, Response = Option<Outcome>, Error = BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, task: Task<Run>) -> Self::Future {
        let (hold, kind) = (task.args.hold.clone(), task.args.job.kind.clone());
        let (run, finisher) = (self.inner.call(task), self.finisher.clone());
        async move {
            let outcome = match run.await {
                Ok(outcome) => outcome,
                // The executor catches a handler's panic; this one came from elsewhere.
                Err(error) => Some(outcome_of_lost_run(error.to_string())),
            };
            // In a box of its own: it is large, and most of a job's time it is not there.
            let recording = finisher.record(&hold, kind.as_str(), outcome).boxed();
            recording.instrument(hold.span.clone()).await;
            Ok(())
        }
        .boxed()
    }
}
