//! Handlers that do as their payload says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use coatcheck_shared::job::{JobId, LeaseId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::{Handler, HandlerError, JobContext, JobResult, KindPayload, Registry};

/// What a job of the kind `script` does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Script {
    Succeed,
    /// Fails its first attempt so that another follows.
    SucceedAtAttempt(u32),
    Fail,
    Panic,
    /// Sleeps, and stops when it is told to.
    SleepMs(u64),
    /// Sleeps in its first attempt, whatever it is told.
    StubbornMs(u64),
    /// Sleeps, and when it is told to stop finishes its work after all.
    FinishWhenStopped,
    ResultOfBytes(usize),
    /// Writes its result in pieces, with a pause after the first half.
    Write {
        bytes: usize,
        pause_ms: u64,
    },
    LogLines(u32),
}

impl KindPayload for Script {
    const KIND: &'static str = "script";
    const DESCRIPTION: &'static str = "Does as it is told.";
}

/// What the handlers of one worker have done.
#[derive(Clone, Default)]
pub(super) struct Record {
    executions: Arc<Mutex<BTreeMap<JobId, Vec<u32>>>>,
    leases: Arc<Mutex<Vec<LeaseId>>>,
    dropped: Arc<AtomicUsize>,
}

impl Record {
    /// The attempts of each job that were run.
    pub(super) fn executions(&self) -> BTreeMap<JobId, Vec<u32>> {
        self.executions.lock().unwrap().clone()
    }

    pub(super) fn leases(&self) -> Vec<LeaseId> {
        self.leases.lock().unwrap().clone()
    }

    /// How many handlers were dropped before they had ended.
    pub(super) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }

    fn note(&self, context: &JobContext) {
        let mut executions = self.executions.lock().unwrap();
        let attempts = executions.entry(context.id()).or_default();
        attempts.push(context.attempt());
        self.leases.lock().unwrap().push(context.job().lease);
    }

    pub(super) fn registry(&self) -> Registry {
        Registry::new().register(Scripted(self.clone())).unwrap()
    }
}

struct Scripted(Record);

/// Counts itself unless it is disarmed.
struct CountsDrops<'a>(Option<&'a AtomicUsize>);

impl Drop for CountsDrops<'_> {
    fn drop(&mut self) {
        if let Some(dropped) = self.0 {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Handler for Scripted {
    type Payload = Script;
    type Output = JobResult;

    async fn run(&self, script: Script, context: &JobContext) -> Result<JobResult, HandlerError> {
        self.0.note(context);
        let mut guard = CountsDrops(Some(&self.0.dropped));
        let result = play(script, context).await;
        guard.0 = None;
        result
    }
}

async fn play(script: Script, context: &JobContext) -> Result<JobResult, HandlerError> {
    match script {
        Script::Succeed => {}
        Script::SucceedAtAttempt(attempt) if context.attempt() < attempt => {
            return Err(HandlerError::retry("not yet"));
        }
        Script::SucceedAtAttempt(_) => {}
        Script::Fail => {
            let details = serde_json::json!({"code": 7});
            return Err(HandlerError::fail("never").with_details(details));
        }
        Script::Panic => panic!("out of cheese"),
        Script::SleepMs(ms) => tokio::select! {
            () = sleep(Duration::from_millis(ms)) => {}
            () = context.cancellation().cancelled() => {
                return Err(HandlerError::retry("told to stop"));
            }
        },
        Script::StubbornMs(ms) if context.attempt() == 1 => {
            sleep(Duration::from_millis(ms)).await;
        }
        Script::StubbornMs(_) => {}
        Script::FinishWhenStopped => context.cancellation().cancelled().await,
        Script::ResultOfBytes(size) => return Ok(JobResult::new("text/plain", vec![b'x'; size])),
        Script::Write { bytes, pause_ms } => return write(bytes, pause_ms, context).await,
        Script::LogLines(count) => {
            for line in 0..count {
                context.log(&format!("line {line}"));
            }
            context.progress(50.0, Some("half way"));
        }
    }
    Ok(JobResult::new("text/plain", "done"))
}

async fn write(
    bytes: usize,
    pause_ms: u64,
    context: &JobContext,
) -> Result<JobResult, HandlerError> {
    let body = noise(bytes);
    let mut writer = context.result_writer();
    let (first, second) = body.split_at(bytes / 2);
    writer.write(first).await?;
    sleep(Duration::from_millis(pause_ms)).await;
    for piece in second.chunks(100_001) {
        writer.write(piece).await?;
    }
    Ok(JobResult::new("image/x-noise", writer.finish().await?))
}

/// Bytes that no two neighbouring chunks have in common.
pub(super) fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place % 251) as u8).collect()
}

/// The payload of a kind that only some workers have a handler for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Foreign {}

impl KindPayload for Foreign {
    const KIND: &'static str = "foreign";
    const DESCRIPTION: &'static str = "What another worker runs.";
}

/// Runs the kind `foreign`.
pub(super) struct RunsForeign(pub(super) Record);

impl Handler for RunsForeign {
    type Payload = Foreign;
    type Output = JobResult;

    async fn run(&self, _: Foreign, context: &JobContext) -> Result<JobResult, HandlerError> {
        self.0.note(context);
        Ok(JobResult::new("text/plain", "done"))
    }
}
