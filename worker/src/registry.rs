//! Which handler runs which kind: one visible list.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use coatcheck_shared::{
    job::{InvalidName, JobResult, KindName},
    kind::KindDefinition,
};
use futures::future::{BoxFuture, FutureExt};
use serde::de::DeserializeOwned;

use crate::{
    BytesHandler, Handler, HandlerError, IntoJobResult, JobContext, RawPayload, aside::aside,
};

/// Up to this many bytes a payload is parsed where its job runs. To change threads costs more than 0.2 ms
/// of CPU, as much as many of 100 KiB.
const SMALL_PAYLOAD_BYTES: usize = 256 * 1024;

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
    /// Parses the payload, runs the handler, writes the result.
    fn run<'a>(
        &'a self,
        payload: Bytes,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>>;
}

impl<H: Handler> ErasedHandler for H {
    fn run<'a>(
        &'a self,
        payload: Bytes,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>> {
        async move {
            let payload = parse(payload).await.map_err(|error| {
                HandlerError::fail(format!("the payload does not fit the kind: {error}"))
            })?;
            Handler::run(self, payload, context)
                .await?
                .into_job_result()
        }
        .boxed()
    }
}

/// Parses a payload: a large one, which takes milliseconds a megabyte, aside.
async fn parse<Payload: DeserializeOwned>(payload: Bytes) -> serde_json::Result<Payload> {
    if payload.len() <= SMALL_PAYLOAD_BYTES {
        serde_json::from_slice(&payload)
    } else {
        aside(|| serde_json::from_slice(&payload)).await
    }
}

/// A handler of bytes, among those whose types are forgotten.
struct OfBytes<H>(H);

impl<H: BytesHandler> ErasedHandler for OfBytes<H> {
    fn run<'a>(
        &'a self,
        payload: Bytes,
        context: &'a JobContext,
    ) -> BoxFuture<'a, Result<JobResult, HandlerError>> {
        async move {
            let payload = RawPayload {
                media_type: context.job().payload_type.clone(),
                bytes: payload,
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

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use schemars::JsonSchema;
    use serde::{Deserialize, Deserializer};
    use serde_json::json;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::{JobResult, KindPayload, context::Rehearsal};

    const LONG: Duration = Duration::from_millis(600);

    fn parse_for_long<'de, D: Deserializer<'de>>(text: D) -> Result<usize, D::Error> {
        let length = String::deserialize(text)?.len();
        #[expect(clippy::disallowed_methods, reason = "a thread is to be blocked")]
        thread::sleep(LONG);
        Ok(length)
    }

    #[derive(Deserialize, JsonSchema)]
    struct Large {
        #[schemars(with = "String")]
        #[serde(deserialize_with = "parse_for_long")]
        text: usize,
    }

    impl KindPayload for Large {
        const KIND: &'static str = "large";
        const DESCRIPTION: &'static str = "Takes long to parse.";
    }

    struct Measures;

    impl Handler for Measures {
        type Payload = Large;
        type Output = JobResult;

        async fn run(&self, large: Large, _: &JobContext) -> Result<JobResult, HandlerError> {
            Ok(JobResult::new("text/plain", large.text.to_string()))
        }
    }

    #[test]
    fn a_payload_that_takes_long_to_parse_holds_up_no_timer_of_the_only_thread() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let size = SMALL_PAYLOAD_BYTES;
        let (late, result) = runtime.block_on(async {
            let begun = Instant::now();
            let job = tokio::spawn(async move {
                let text = "x".repeat(size);
                let rehearsal = Rehearsal::of::<Measures>(&json!({"text": text})).unwrap();
                rehearsal.run(&Measures).await.unwrap()
            });
            let timer = tokio::spawn(async move {
                sleep(Duration::from_millis(50)).await;
                begun.elapsed()
            });
            (timer.await.unwrap(), job.await.unwrap())
        });
        assert_eq!(result.body, size.to_string());
        assert!(late < LONG, "{late:?}");
    }
}
