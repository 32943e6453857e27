//! A job outside of any store, for tests of handlers.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use coatcheck_shared::{
    clock::{Clock, SynchronisedClock, SystemClock},
    job::{Body, ClaimedJob, InvalidName, JobId, JobResult, LeaseId, Metadata, QueueName, Tenant},
    kind::KindPayload,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{JobContext, Report, ResultPlace, ResultTarget};
use crate::{
    BytesHandler, Handler, HandlerError, IntoJobResult, RawPayload, registry::ErasedHandler,
};

/// More reports than this are dropped, as a worker drops what its store cannot keep up with.
const REPORTS: usize = 4_096;

/// One attempt at a job that no store knows: it runs a handler as a worker would, and keeps what
/// the handler says meanwhile. For tests of one's own handlers.
pub struct Rehearsal {
    payload: Bytes,
    context: JobContext,
    reports: Mutex<mpsc::Receiver<Report>>,
}

/// What a handler said of its job while it ran.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// How far it was, in percent, and what it was doing.
    Progress(f32, Option<String>),
    /// A line of the attempt's log.
    Log(String),
}

impl Rehearsal {
    /// The first attempt at a job of the handler's kind.
    ///
    /// # Errors
    /// Where the name that the payload's type gives is no name of a kind.
    pub fn of<H: Handler>(payload: &serde_json::Value) -> Result<Self, InvalidName> {
        let payload = RawPayload {
            media_type: "application/json".to_owned(),
            bytes: Bytes::from(payload.to_string()),
        };
        Self::with_payload(<H::Payload as KindPayload>::KIND, payload)
    }

    /// The first attempt at a job of a handler's kind that takes bytes.
    ///
    /// # Errors
    /// Where the name that the handler gives is no name of a kind.
    pub fn of_bytes<H: BytesHandler>(
        handler: &H,
        payload: RawPayload,
    ) -> Result<Self, InvalidName> {
        Self::with_payload(handler.kind(), payload)
    }

    fn with_payload(kind: &str, payload: RawPayload) -> Result<Self, InvalidName> {
        let now = SystemClock.now();
        let job = ClaimedJob {
            id: JobId::generate(&SystemClock),
            tenant: Tenant::default(),
            kind: kind.parse()?,
            queue: QueueName::default(),
            attempt: 1,
            max_attempts: 1,
            lease: LeaseId::generate(&SystemClock),
            created_at: now,
            queued_at: now,
            started_at: now,
            timeout: None,
            deadline_at: None,
            previous_backoff: None,
            payload_type: payload.media_type,
            payload: payload.bytes.clone().into(),
            metadata: Metadata::new(),
            traceparent: None,
        };
        let (sender, reports) = mpsc::channel(REPORTS);
        let clock = SynchronisedClock::starting_at(now);
        let results = ResultTarget {
            place: ResultPlace::Rehearsal(Mutex::default()),
            most_bytes: usize::MAX,
        };
        Ok(Self {
            payload: payload.bytes,
            context: JobContext::new(
                Box::new(job),
                CancellationToken::new(),
                sender,
                clock,
                results,
            ),
            reports: Mutex::new(reports),
        })
    }

    /// The job carries this W3C trace context.
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: &str) -> Self {
        self.context.job.traceparent = Some(traceparent.to_owned());
        self
    }

    /// The attempt, as the handler sees it. Its cancellation can be fired.
    pub fn context(&self) -> &JobContext {
        &self.context
    }

    /// Reads the payload, runs the handler, writes the result, as a worker does. What went through
    /// a [`ResultWriter`](super::ResultWriter) is in the result too.
    ///
    /// # Errors
    /// With whatever the handler returns, and where the payload does not fit its kind.
    pub async fn run<H: Handler>(&self, handler: &H) -> Result<JobResult, HandlerError> {
        let payload = self.payload.clone();
        let result = ErasedHandler::run(handler, payload, &self.context).await?;
        Ok(self.whole(result))
    }

    /// As [`Rehearsal::run`], of a handler that takes bytes.
    ///
    /// # Errors
    /// With whatever the handler returns.
    pub async fn run_bytes<H: BytesHandler>(&self, handler: &H) -> Result<JobResult, HandlerError> {
        let payload = RawPayload {
            media_type: self.context.job().payload_type.clone(),
            bytes: self.payload.clone(),
        };
        let result = handler.run(payload, &self.context).await?;
        Ok(self.whole(result.into_job_result()?))
    }

    fn whole(&self, mut result: JobResult) -> JobResult {
        if result.body.inline().is_none() {
            result.body = Body::Inline(self.context.results.place.rehearsed());
        }
        result
    }

    /// What the handler has said since this was last asked. It may still be running.
    pub fn said(&self) -> Vec<Said> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = Vec::new();
        while let Ok(report) = reports.try_recv() {
            said.push(match report {
                Report::Progress(report) => {
                    Said::Progress(report.progress.percent, report.progress.message)
                }
                Report::Log(line) => Said::Log(line.text),
                // Only an executor asks for it.
                Report::Flush(_) => continue,
            });
        }
        said
    }
}
