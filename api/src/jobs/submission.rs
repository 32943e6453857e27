//! A submission: reading it, checking it, and filling in what it does not say.

mod described;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use coatcheck_shared::{
    job::{JobId, KindName, Metadata, NewJob, Priority, QueueName, Tenant, Unique},
    timestamp::Timestamp,
};
use serde_json::Value;

pub(super) use self::described::SubmissionBody;
pub(crate) use self::described::without_other_kinds;

use crate::{
    api::{Api, Defaults},
    body::JSON,
    caller::Caller,
    fields::{self, Fields},
    jobs::unique,
    kinds::Kind,
    problem::{FieldError, Problem, ProblemType},
};

/// The fields of a submission, for who has used another.
const KNOWN: &str = "kind, payload, queue, priority, run_at, delay_s, max_attempts, timeout_s, \
                     start_within_s, deadline_s, retain_s, metadata, unique";

/// The same as parameters of a query, whose body is the payload.
pub(super) const PARAMETERS: &str = "kind, queue, priority, run_at, delay_s, max_attempts, \
                                     timeout_s, start_within_s, deadline_s, retain_s, \
                                     metadata.NAME, unique.key, unique.mode, unique.window_s";

/// The most attempts that a job can have.
pub(super) const MOST_ATTEMPTS: u64 = 1_000;

/// How many kinds one answer lists at most.
const MOST_KINDS_LISTED: usize = 200;

/// A submission that has been found good.
pub(super) struct Submission {
    kind: KindName,
    payload_type: String,
    payload: Bytes,
    options: Options,
}

/// What a submission may say beside its kind and payload.
pub(super) struct Options {
    queue: QueueName,
    priority: Priority,
    start: Start,
    max_attempts: Option<u32>,
    timeout: Option<Duration>,
    start_within: Option<Duration>,
    deadline: Option<Duration>,
    retain: Option<Duration>,
    metadata: Metadata,
    unique: Option<Unique>,
}

/// When a job may start.
enum Start {
    Now,
    At(Timestamp),
    In(Duration),
}

impl Submission {
    /// Reads and checks a body; the caller's key must be good for what it asks for.
    pub(super) async fn read(api: &Api, caller: &Caller, body: &Bytes) -> Result<Self, Problem> {
        let mut fields = Fields::of(body).map_err(malformed)?;
        let payload = fields.member("payload");
        let (kind, options, faults) = read_options(api, &mut fields).await?;
        match (&kind, &payload) {
            (_, None) => fields.wrong("/payload", "is required"),
            (Some(kind), Some(payload)) => fields.all_wrong(kind.schema.errors(&payload.value)),
            (None, Some(_)) => {}
        }
        let errors = fields.into_errors(KNOWN);
        match (kind, payload) {
            (Some(kind), Some(payload)) if errors.is_empty() => {
                let payload = body.slice_ref(payload.raw.as_bytes());
                Self::new(caller, &kind, (JSON.to_owned(), payload), options)
            }
            _ => Err(faults.add_to(invalid(errors))),
        }
    }

    /// One whose kind, payload (its media type before it) and options have been found good.
    pub(super) fn new(
        caller: &Caller,
        kind: &Kind,
        (payload_type, payload): (String, Bytes),
        options: Options,
    ) -> Result<Self, Problem> {
        caller.require_covered(&options.queue, &kind.definition.name)?;
        require_implemented(kind)?;
        Ok(Self {
            kind: kind.definition.name.clone(),
            payload_type,
            payload,
            options,
        })
    }

    /// The job that it asks for, submitted now.
    pub(super) fn into_job(
        self,
        id: JobId,
        tenant: Tenant,
        now: Timestamp,
        defaults: &Defaults,
        traceparent: String,
    ) -> NewJob {
        let options = self.options;
        NewJob {
            id,
            tenant,
            kind: self.kind,
            queue: options.queue,
            priority: options.priority,
            payload_type: self.payload_type,
            payload: self.payload,
            created_at: now,
            run_at: options.start.from(now),
            max_attempts: options.max_attempts.unwrap_or(defaults.max_attempts),
            timeout: options.timeout,
            start_by: options.start_within.map(|within| now.after(within)),
            deadline_at: options.deadline.map(|deadline| now.after(deadline)),
            retain: options.retain.unwrap_or(defaults.retain),
            metadata: options.metadata,
            traceparent: Some(traceparent),
            idempotency: None,
            unique: options.unique,
        }
    }
}

impl Options {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            queue: fields.optional("queue", fields::parsed).unwrap_or_default(),
            priority: fields.optional("priority", priority).unwrap_or_default(),
            start: Start::read(fields),
            max_attempts: fields
                .optional("max_attempts", |value| {
                    fields::integer(value, 1, MOST_ATTEMPTS)
                })
                .and_then(|attempts| attempts.try_into().ok()),
            timeout: fields.optional("timeout_s", |value| fields::seconds(value, 1)),
            start_within: fields.optional("start_within_s", |value| fields::seconds(value, 1)),
            deadline: fields.optional("deadline_s", |value| fields::seconds(value, 1)),
            retain: fields.optional("retain_s", |value| fields::seconds(value, 0)),
            metadata: fields.metadata(),
            unique: unique::read(fields),
        }
    }
}

impl Start {
    fn read(fields: &mut Fields<'_>) -> Self {
        if fields.has("run_at") && fields.has("delay_s") {
            fields.wrong("/run_at", "cannot stand beside delay_s");
            fields.wrong("/delay_s", "cannot stand beside run_at");
        }
        let run_at = fields.optional("run_at", fields::time).map(Self::At);
        let delay = fields.optional("delay_s", |value| fields::seconds(value, 0));
        run_at.or(delay.map(Self::In)).unwrap_or(Self::Now)
    }

    /// A time that has passed is now.
    fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::At(time) => time.max(now),
            Self::In(delay) => now.after(delay),
        }
    }
}

fn priority(value: &Value) -> Result<Priority, String> {
    Priority::ALL
        .into_iter()
        .find(|priority| value.as_str() == Some(priority.as_str()))
        .ok_or_else(|| "must be \"high\", \"normal\" or \"low\"".to_owned())
}

/// What an answer says of a kind that there is not, beside that.
pub(super) struct UnknownKind(Option<Vec<Value>>);

impl UnknownKind {
    /// Lists the kinds that there are.
    pub(super) fn add_to(self, problem: Problem) -> Problem {
        match self.0 {
            Some(kinds) => problem.with("kinds", kinds),
            None => problem,
        }
    }
}

/// Reads the kind and everything else but the payload, and notes what is wrong with them.
pub(super) async fn read_options(
    api: &Api,
    fields: &mut Fields<'_>,
) -> Result<(Option<Arc<Kind>>, Options, UnknownKind), Problem> {
    let name = fields.required("kind", fields::parsed::<KindName>);
    let options = Options::read(fields);
    let Some(name) = name else {
        return Ok((None, options, UnknownKind(None)));
    };
    let kind = api.kinds.find(&name).await?;
    let known = match &kind {
        Some(_) => None,
        None => Some(unknown_kind(api, fields, &name)),
    };
    Ok((kind, options, UnknownKind(known)))
}

/// Notes that the kind is unknown; gives those that are not.
fn unknown_kind(api: &Api, fields: &mut Fields<'_>, name: &KindName) -> Vec<Value> {
    let known = api.kinds.all();
    let names: Vec<&str> = known
        .keys()
        .take(MOST_KINDS_LISTED)
        .map(KindName::as_str)
        .collect();
    fields.wrong(
        "/kind",
        format!("there is no kind {name}; there are {}", names.join(", ")),
    );
    names.into_iter().map(Value::from).collect()
}

fn require_implemented(kind: &Kind) -> Result<(), Problem> {
    if kind.implemented {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::KindNotImplemented,
        format!(
            "The kind {} is declared, and nothing runs it yet.",
            kind.definition.name
        ),
    ))
}

/// That a body, or a payload in it, is no JSON.
pub(super) fn malformed(error: FieldError) -> Problem {
    Problem::fields(
        ProblemType::MalformedJson,
        "The body is not JSON that this server takes: see `errors`.",
        vec![error],
    )
}

/// That fields of a submission are wrong.
pub(super) fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::fields(
        ProblemType::InvalidRequest,
        "Fields of the submission are wrong: see `errors`.",
        errors,
    )
}
