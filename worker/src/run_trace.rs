//! A run as part of a trace: the wait before it, the run itself, and the calls that it makes.

use coatcheck_shared::{
    job::ClaimedJob,
    timestamp::Timestamp,
    trace::{About, Span, SpanKind},
};

use crate::ending::Ending;

/// Records how long the job waited, and begins the span of its run, to which the job's trace
/// context leads from now on. None where traces are off.
pub(crate) fn begin(job: &mut ClaimedJob, began_at: Timestamp) -> Option<Span> {
    let waiting = Span::begin(job.traceparent.as_deref(), job.queued_at, || About {
        name: "wait in queue".to_owned(),
        kind: SpanKind::Producer,
        attributes: attributes_of(job),
    })?;
    let parent = waiting.traceparent();
    waiting.end(job.started_at);
    let running = Span::begin(Some(&parent), began_at, || About {
        name: format!("run {}", job.kind),
        kind: SpanKind::Consumer,
        attributes: attributes_of(job),
    })?;
    job.traceparent = Some(running.traceparent());
    Some(running)
}

/// Ends the span of a run. Why a handler failed is in the job, for those who may see it.
pub(crate) fn end(span: Option<Span>, ending: &Ending, ended_at: Timestamp) {
    let Some(mut span) = span else { return };
    match ending {
        Ending::Returned(Ok(_)) => {}
        Ending::Returned(Err(_)) => span.fail("the attempt failed"),
        Ending::Panicked(_) => span.fail("the handler panicked"),
        Ending::OutOfTime(_) => span.fail("the attempt was out of time"),
        Ending::Dropped => span.fail("the handler did not stop when it was told to"),
    }
    span.end(ended_at);
}

fn attributes_of(job: &ClaimedJob) -> Vec<(&'static str, String)> {
    vec![
        ("coatcheck.job.id", job.id.to_string()),
        ("coatcheck.job.kind", job.kind.to_string()),
        ("coatcheck.job.queue", job.queue.to_string()),
        ("coatcheck.job.attempt", job.attempt.to_string()),
    ]
}
