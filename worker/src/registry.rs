//! Which handler runs which kind: one visible list.

use std::{collections::BTreeMap, sync::Arc};

use coatcheck_shared::{
    job::{ClaimedJob, InvalidName, JobResult, KindName},
    kind::KindDefinition,
};
use futures::future::{BoxFuture, FutureExt};
use serde::de::DeserializeOwned;

use crate::{
    BytesHandler, Handler, HandlerError, IntoJobResult, JobContext, RawPayload, aside::aside,
};

/// Up to this many bytes a payload is read where its job runs.
const SMALL_PAYLOAD_BYTES: usize = 64 * 1024;

/// Why a handler cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The kind's name is none.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// Another handler runs this kind.
    #[error("two handlers are registered for the kind {0}")]
    Twice(KindName),
}

/// A handler whose types are forgotten.
pub(crate) trait ErasedHandler: Send + Sync {
    /// Reads the payload, runs the handler, writes the result.
    fn run<'a>(
        &'a self,
        job: &'a ClaimedJob,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>>;
}

impl<H: Handler> ErasedHandler for H {
    fn run<'a>(
        &'a self,
        job: &'a ClaimedJob,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>> {
        async move {
            let payload = parse(&job.payload).await.map_err(|error| {
                HandlerError::fail(format!("the payload does not fit the kind: {error}"))
            })?;
            Handler::run(self, payload, context)
                .await?
                .into_job_result()
        }
        .boxed()
    }
}

/// Reads a payload: a large one, which takes milliseconds a megabyte, aside.
async fn parse<Payload: DeserializeOwned>(payload: &[u8]) -> serde_json::Result<Payload> {
    if payload.len() <= SMALL_PAYLOAD_BYTES {
        serde_json::from_slice(payload)
    } else {
        aside(|| serde_json::from_slice(payload)).await
    }
}

/// A handler of bytes, among those whose types are forgotten.
struct OfBytes<H>(H);

impl<H: BytesHandler> ErasedHandler for OfBytes<H> {
    fn run<'a>(
        &'a self,
        job: &'a ClaimedJob,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>> {
        async move {
            let payload = RawPayload {
                media_type: job.payload_type.clone(),
                bytes: job.payload.clone(),
            };
            self.0.run(payload, context).await?.into_job_result()
        }
        .boxed()
    }
}

/// A kind and what runs it.
type Registered = (KindDefinition, Arc<dyn ErasedHandler>);

/// The handlers of a worker. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: Arc<BTreeMap<KindName, Registered>>,
}

impl Registry {
    /// A registry with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler of a kind.
    ///
    /// # Errors
    /// Where the kind's name is none, or the kind has a handler already.
    pub fn register<H: Handler>(self, handler: H) -> Result<Self, RegistryError> {
        let definition = KindDefinition::of::<H::Payload>()?;
        self.add(definition, Arc::new(handler))
    }

    /// Adds the handler of a kind that takes bytes.
    ///
    /// # Errors
    /// As [`Registry::register`].
    pub fn register_bytes<H: BytesHandler>(self, handler: H) -> Result<Self, RegistryError> {
        let (name, description) = (handler.kind(), handler.description());
        let definition = KindDefinition::of_bytes(name, description, handler.media_types())?;
        self.add(definition, Arc::new(OfBytes(handler)))
    }

    fn add(
        mut self,
        definition: KindDefinition,
        handler: Arc<dyn ErasedHandler>,
    ) -> Result<Self, RegistryError> {
        let name = definition.name.clone();
        if self.handlers.contains_key(&name) {
            return Err(RegistryError::Twice(name));
        }
        Arc::make_mut(&mut self.handlers).insert(name, (definition, handler));
        Ok(self)
    }

    /// With this process's failure points around every handler that is registered so far.
    #[cfg(feature = "failure-points")]
    #[must_use]
    pub fn with_failure_points(mut self) -> Self {
        for (_, handler) in Arc::make_mut(&mut self.handlers).values_mut() {
            *handler = crate::failing::around(handler.clone());
        }
        self
    }

    /// The kinds that it can run.
    pub fn definitions(&self) -> Vec<KindDefinition> {
        self.handlers
            .values()
            .map(|(definition, _)| definition.clone())
            .collect()
    }

    /// The names of the kinds that it can run.
    pub fn kinds(&self) -> Vec<KindName> {
        self.handlers.keys().cloned().collect()
    }

    /// What runs a kind.
    pub(crate) fn handler(&self, kind: &KindName) -> Option<&dyn ErasedHandler> {
        self.handlers.get(kind).map(|(_, handler)| &**handler)
    }
}
