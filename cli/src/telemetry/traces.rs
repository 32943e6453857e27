//! Sending the spans of this process to a collector, over OTLP (HTTP, protobuf).

use std::time::Duration;

use async_trait::async_trait;
use coatcheck_shared::{
    settings::{Settings, TraceSettings},
    trace,
};
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use crate::failure::Failure;

/// How long a span waits at most for others to be sent with it.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// How long the last spans of a process may take.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// How much of a collector's answer is read, so that its connection can be used again.
const MOST_OF_ANSWER: usize = 64 * 1024;

/// The traces of this process.
pub(crate) struct Traces(SdkTracerProvider);

/// Turns traces on where the settings name a collector. Must be called inside a tokio runtime.
pub(crate) fn trace(settings: &Settings, role: &'static str) -> Result<Option<Traces>, Failure> {
    let settings = &settings.traces;
    let Some(endpoint) = &settings.endpoint else {
        return Ok(None);
    };
    let endpoint = endpoint.expose_secret().trim_end_matches('/');
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(settings)?)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_timeout(settings.deadline())
        .build()
        // Its own words would repeat the endpoint, which may hold a password.
        .map_err(|_| Failure::error("traces.endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) is no URL"))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(settings.queue)
        .with_scheduled_delay(LONGEST_DELAY)
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            settings.sample_ratio,
        ))))
        .with_resource(resource(role))
        .build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    trace::turn_on();
    Ok(Some(Traces(provider)))
}

/// The name is OTEL_SERVICE_NAME where that is set.
fn resource(role: &'static str) -> Resource {
    let name = std::env::var("OTEL_SERVICE_NAME").ok();
    Resource::builder()
        .with_service_name(
            name.filter(|name| !name.is_empty())
                .unwrap_or_else(|| "coatcheck".to_owned()),
        )
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("coatcheck.role", role),
        ])
        .build()
}

impl Traces {
    /// Sends what has not been sent yet, for a while. Blocks; not to be called by an async task.
    pub(crate) fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_SPANS) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// The way to the collector. The thread that gathers spans has no runtime, so this one's is used.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    fn new(settings: &TraceSettings) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .timeout(settings.deadline())
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::caused_by("traces cannot be sent", &error))?;
        Ok(Self {
            client,
            runtime: Handle::current(),
        })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = send(self.client.clone(), request);
        let sent = self.runtime.spawn(sending).await?;
        let outcome = match &sent {
            Ok(response) if response.status().is_success() => "sent",
            Ok(response) => {
                tracing::warn!(status = response.status().as_u16(), "spans were refused");
                "failed"
            }
            Err(error) => {
                tracing::warn!(%error, "spans could not be sent");
                "failed"
            }
        };
        metrics::counter!("coatcheck_trace_exports_total", "outcome" => outcome).increment(1);
        sent
    }
}

async fn send(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    // A name and a password in the address become a header field.
    let answer = client
        .request(head.method, head.uri.to_string())
        .headers(head.headers)
        .body(body)
        .send()
        .await;
    let mut answer = answer.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MOST_OF_ANSWER {
            break;
        }
    }
    Ok(Response::builder().status(status).body(Bytes::new())?)
}
