//! Handlers that fail where they are told to: see [`coatcheck_shared::failure_points`].

use std::sync::Arc;

use bytes::Bytes;
use coatcheck_shared::{
    failure_points::{self, FailurePoints},
    job::JobResult,
};
use futures::future::{BoxFuture, FutureExt};

use crate::{HandlerError, JobContext, registry::ErasedHandler};

struct FailingHandler {
    handler: Arc<dyn ErasedHandler>,
    points: Arc<FailurePoints>,
}

/// A handler with this process's failure points around it.
pub(crate) fn around(handler: Arc<dyn ErasedHandler>) -> Arc<dyn ErasedHandler> {
    // What cannot be read has stopped the start.
    match failure_points::of_this_process() {
        Ok(Some(points)) => Arc::new(FailingHandler { handler, points }),
        _ => handler,
    }
}

impl ErasedHandler for FailingHandler {
    fn run<'a>(
        &'a self,
        payload: Bytes,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>> {
        let run = self.handler.run(payload, context);
        self.points.around(failure_points::RUN, run).boxed()
    }
}
