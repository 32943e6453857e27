//! `coatcheck submit`.

use std::{io::Read, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};
use coatcheck_shared::job::{KindName, QueueName};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    EXIT_STATUS,
    api::{Api, Call},
    follow,
    job::Job,
    output::Output,
    server::Server,
    times::{duration, whole_seconds},
};
use crate::failure::{Failure, USAGE};

/// The arguments of `coatcheck submit`.
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  coatcheck submit sleep '{{\"ms\": 3000}}' --wait
  coatcheck submit http @request.json --queue slow --timeout 10m
  jq … | coatcheck submit http - --idempotency-key order-42
  coatcheck submit command.shrink @cat.png --content-type image/png --wait

{EXIT_STATUS}"))]
pub(crate) struct SubmitArguments {
    /// The kind of the job.
    #[arg(value_name = "KIND")]
    kind: KindName,
    /// Its payload: JSON, @ and a file, or - for stdin.
    #[arg(value_name = "PAYLOAD|@FILE|-", default_value = "{}")]
    payload: String,

    /// The payload is of this media type: it goes as it is, byte for byte.
    #[arg(long, value_name = "MEDIA_TYPE")]
    content_type: Option<String>,

    /// The queue it waits in.
    #[arg(long, value_name = "QUEUE", help_heading = "Job")]
    queue: Option<QueueName>,
    /// How urgent it is there.
    #[arg(long, value_name = "PRIORITY", help_heading = "Job")]
    priority: Option<Priority>,
    /// Start it so much later, like 10m.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds, conflicts_with = "run_at", help_heading = "Job")]
    delay: Option<u64>,
    /// Start it at this RFC 3339 time.
    #[arg(long, value_name = "TIME", help_heading = "Job")]
    run_at: Option<String>,
    /// The longest that one attempt may take.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds, help_heading = "Job")]
    timeout: Option<u64>,
    /// It fails unless its first attempt begins in this time.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds, help_heading = "Job")]
    start_within: Option<u64>,
    /// It fails unless it is finished in this time.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds, help_heading = "Job")]
    deadline: Option<u64>,
    /// How often it may be run.
    #[arg(long, value_name = "N", help_heading = "Job")]
    max_attempts: Option<u32>,
    /// How long it is kept once it is finished, like 7d.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds, help_heading = "Job")]
    retain: Option<u64>,
    /// A string of your own, to find it by; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Job")]
    metadata: Vec<(String, String)>,

    /// Submitting again under the same key gives the job that it made the first time. Without
    /// one, each call has a key of its own, so that a lost answer can be asked for again.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for the job's end, so long at most.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = limit)]
    wait: Option<Limit>,
    /// Print the job exactly as the server describes it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Priority {
    High,
    Normal,
    Low,
}

/// How long to wait; for ever where it is not said.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<Duration>);

fn limit(text: &str) -> Result<Limit, String> {
    if text.is_empty() {
        return Ok(Limit(None));
    }
    duration(text).map(|duration| Limit(Some(duration)))
}

/// Reads KEY=VALUE.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

/// The body of a submission; the payload goes as it was written.
#[derive(Serialize)]
struct Submission<'a> {
    kind: &'a str,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_within_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_s: Option<u64>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    metadata: std::collections::BTreeMap<&'a str, &'a str>,
}

/// Submits a job, and waits for it where that is asked.
pub(crate) fn run(arguments: &SubmitArguments) -> Result<ExitCode, Failure> {
    let mut call = arguments.call()?;
    super::run(async {
        let api = Api::new(&arguments.server)?;
        let output = Output::new(arguments.json);
        let key = arguments.idempotency_key.clone();
        let key = key.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        call = call.with_header("idempotency-key", key);
        let answer = output.ask(&api, &call).await?;
        let job: Job = answer.json()?;
        match arguments.wait {
            Some(Limit(limit)) => follow::to_the_end(&api, &job.id, limit, &output).await,
            None if output.json() => output.raw(&answer.body).map(|()| ExitCode::SUCCESS),
            None => output.text(&job.id).map(|()| ExitCode::SUCCESS),
        }
    })
}

impl SubmitArguments {
    /// The request, but for its key.
    fn call(&self) -> Result<Call, Failure> {
        let unwritable = |error| Failure::caused_by("the submission cannot be written", &error);
        let payload = read_bytes(&self.payload)?;
        let call = Call::post([], true);
        let Some(media_type) = &self.content_type else {
            let payload = as_json(payload)?;
            let body = serde_json::to_vec(&self.submission(&payload)).map_err(unwritable)?;
            return Ok(call.with_body(body));
        };
        let options = serde_json::to_value(self.submission(RawValue::NULL)).map_err(unwritable)?;
        let mut call = call
            .with_body(payload)
            .with_header("content-type", media_type);
        for (name, value) in options.as_object().into_iter().flatten() {
            match value {
                Value::Null => {}
                Value::Object(members) => {
                    for (member, value) in members {
                        call = call.with_query(&format!("{name}.{member}"), text_of(value));
                    }
                }
                value => call = call.with_query(name, text_of(value)),
            }
        }
        Ok(call)
    }

    fn submission<'a>(&'a self, payload: &'a RawValue) -> Submission<'a> {
        let metadata = self.metadata.iter();
        Submission {
            kind: self.kind.as_str(),
            payload,
            queue: self.queue.as_ref().map(QueueName::as_str),
            priority: self.priority,
            delay_s: self.delay,
            run_at: self.run_at.as_deref(),
            timeout_s: self.timeout,
            start_within_s: self.start_within,
            deadline_s: self.deadline,
            max_attempts: self.max_attempts,
            retain_s: self.retain,
            metadata: metadata
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        }
    }
}

/// A string as it is, anything else as JSON.
fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn read_bytes(argument: &str) -> Result<Vec<u8>, Failure> {
    let usage = |reason: String| Failure::new(USAGE, reason);
    if argument == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| usage(format!("the payload cannot be read from stdin: {error}")))?;
        Ok(bytes)
    } else if let Some(path) = argument.strip_prefix('@') {
        std::fs::read(path)
            .map_err(|error| usage(format!("the payload {path} cannot be read: {error}")))
    } else {
        Ok(argument.as_bytes().to_vec())
    }
}

fn as_json(payload: Vec<u8>) -> Result<Box<RawValue>, Failure> {
    let usage = |reason: String| Failure::new(USAGE, reason);
    let text = String::from_utf8(payload)
        .map_err(|_| usage("the payload is not JSON: it is no UTF-8".to_owned()))?;
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| usage(format!("the payload is not JSON: {error}")))
}
