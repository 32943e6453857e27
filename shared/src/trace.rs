//! The spans of a trace, where traces are on: a request, its job's wait, the job's run, and what
//! the run calls.
//!
//! Spans are made here and nowhere else, and have no attributes but those that are named where
//! they begin. So nothing gets into a trace by being logged. Where traces are off, which is the
//! default, beginning a span is one look at a flag.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use opentelemetry::trace::SpanKind;
use opentelemetry::{
    Context, KeyValue,
    global::{self, BoxedSpan, BoxedTracer},
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId,
        TraceState, Tracer,
    },
};

use crate::timestamp::Timestamp;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// The length of a `traceparent` of version 00; later versions begin with the same.
const LENGTH: usize = 55;

/// Turns traces on for the rest of this process; its tracer provider must have been installed.
pub fn turn_on() {
    TRACER.get_or_init(|| global::tracer("coatcheck"));
}

/// Whether traces are on.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// What a span is about.
pub struct About {
    /// What is done, in a few words that are the same for many spans.
    pub name: String,
    /// How it stands to its parent.
    pub kind: SpanKind,
    /// The particulars.
    pub attributes: Vec<(&'static str, String)>,
}

/// Something that takes time, as part of a trace.
pub struct Span(BoxedSpan);

impl Span {
    /// Begins a span under a `traceparent`, or a trace of its own where that is none; none where
    /// traces are off.
    pub fn begin(
        parent: Option<&str>,
        at: Timestamp,
        about: impl FnOnce() -> About,
    ) -> Option<Self> {
        let tracer = TRACER.get()?;
        let About {
            name,
            kind,
            attributes,
        } = about();
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| KeyValue::new(name, value));
        let parent = parent.and_then(parse).map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(parent)
        });
        let builder = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_start_time(system_time(at))
            .with_attributes(attributes);
        Some(Self(tracer.build_with_context(builder, &parent)))
    }

    /// What leads others to this span.
    pub fn traceparent(&self) -> String {
        let context = self.0.span_context();
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        )
    }

    /// Names the span anew, once more is known.
    pub fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    /// Adds a particular.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.set_attribute(KeyValue::new(name, value.into()));
    }

    /// Marks it as failed, in words that hold nothing of what was worked on.
    pub fn fail(&mut self, why: &'static str) {
        self.0.set_status(Status::error(why));
    }

    /// Ends it.
    pub fn end(mut self, at: Timestamp) {
        self.0.end_with_timestamp(system_time(at));
    }
}

/// The id of the trace that a `traceparent` belongs to.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

/// Whether a text is a valid `traceparent` (W3C Trace Context).
pub fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |part: &[u8]| {
        part.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let Some((head, rest)) = bytes.split_at_checked(LENGTH) else {
        return false;
    };
    let (version, trace, span, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    [2, 35, 52].iter().all(|dash| head[*dash] == b'-')
        && [version, trace, span, flags].into_iter().all(is_hex)
        && version != b"ff"
        && !is_zero(trace)
        && !is_zero(span)
        && (rest.is_empty() || (version != b"00" && rest[0] == b'-'))
}

/// A valid `traceparent` as far as version 00 goes; none where it is not one.
pub fn valid_part(text: &str) -> Option<&str> {
    is_valid(text).then(|| &text[..LENGTH])
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = valid_part(text)?.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    Some(SpanContext::new(
        trace,
        span,
        TraceFlags::new(flags),
        true,
        TraceState::default(),
    ))
}

fn system_time(at: Timestamp) -> SystemTime {
    let since = u64::try_from(at.microseconds()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_micros(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_valid_contexts_are_continued() {
        assert!(is_valid(GOOD));
        assert!(is_valid(&GOOD.replacen("00", "cc", 1)));
        let later = format!("{}-more", GOOD.replacen("00", "cc", 1));
        assert_eq!(valid_part(&later).map(str::len), Some(LENGTH));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            assert!(!is_valid(bad), "{bad}");
            assert!(parse(bad).is_none(), "{bad}");
        }
        let context = parse(GOOD).unwrap();
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(trace_id(GOOD), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn nothing_is_begun_while_traces_are_off() {
        let at = Timestamp::from_microseconds(0);
        assert!(Span::begin(Some(GOOD), at, || unreachable!()).is_none());
    }
}
