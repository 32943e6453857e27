//! What a handler knows of its job, and what it can say of it while it runs.

mod rehearsal;
mod result_writer;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use coatcheck_shared::{
    clock::{Clock, SynchronisedClock},
    job::{ClaimedJob, JobId, KindName, Metadata, Progress},
    store::{LogLine, ProgressReport},
    timestamp::Timestamp,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use self::result_writer::{ResultPlace, ResultTarget};
pub use self::{
    rehearsal::{Rehearsal, Said},
    result_writer::ResultWriter,
};

/// Something that a running job says.
#[derive(Debug)]
pub(crate) enum Report {
    /// How far it is.
    Progress(ProgressReport),
    /// A line of its log.
    Log(LogLine),
    /// Nothing more: whoever asks wants to know when all of it is written.
    Flush(oneshot::Sender<()>),
}

/// The longest line of a log that is kept, in bytes.
const LONGEST_LINE: usize = 16 * 1024;

/// One attempt at a job, as its handler sees it.
pub struct JobContext {
    job: Box<ClaimedJob>,
    cancellation: CancellationToken,
    reports: mpsc::Sender<Report>,
    clock: SynchronisedClock,
    results: ResultTarget,
    next_line: AtomicU32,
    has_reported: AtomicBool,
}

impl JobContext {
    pub(crate) fn new(
        job: Box<ClaimedJob>,
        cancellation: CancellationToken,
        reports: mpsc::Sender<Report>,
        clock: SynchronisedClock,
        results: ResultTarget,
    ) -> Self {
        Self {
            job,
            cancellation,
            reports,
            clock,
            results,
            next_line: AtomicU32::new(0),
            has_reported: AtomicBool::new(false),
        }
    }

    pub(crate) fn job(&self) -> &ClaimedJob {
        &self.job
    }

    /// The job's identity: the same in each of its attempts.
    pub fn id(&self) -> JobId {
        self.job.id
    }

    /// What is being done.
    pub fn kind(&self) -> &KindName {
        &self.job.kind
    }

    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// How many attempts the job has in all.
    pub fn max_attempts(&self) -> u32 {
        self.job.max_attempts
    }

    /// The strings that whoever submitted the job put on it.
    pub fn metadata(&self) -> &Metadata {
        &self.job.metadata
    }

    /// The W3C trace context to be passed on in calls: of this run where traces are on, else of
    /// the request that submitted the job.
    pub fn traceparent(&self) -> Option<&str> {
        self.job.traceparent.as_deref()
    }

    /// The time by the database's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When this attempt is out of time, by its timeout or the job's deadline.
    pub fn out_of_time_at(&self) -> Option<Timestamp> {
        self.job.out_of_time_at()
    }

    /// Fires when the job is to stop: it was cancelled, or its worker is shutting down and the
    /// grace is over. A handler that stops soon after can still clean up.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    /// Says how far the job is: `percent` is clamped to 0 to 100. Of several reports in quick
    /// succession the last is kept.
    pub fn progress(&self, percent: f32, message: Option<&str>) {
        let percent = if percent.is_finite() {
            // A hundredth is finer than anyone looks.
            (percent.clamp(0.0, 100.0) * 100.0).round() / 100.0
        } else {
            0.0
        };
        self.report(Report::Progress(ProgressReport {
            id: self.job.id,
            attempt: self.job.attempt,
            lease: self.job.lease,
            progress: Progress {
                percent,
                message: message.map(|text| text.replace('\0', "\u{fffd}")),
            },
        }));
    }

    /// Adds a line to the attempt's log, cut where it is over 16 KiB.
    pub fn log(&self, text: &str) {
        self.report(Report::Log(LogLine {
            job: self.job.id,
            attempt: self.job.attempt,
            started_at: self.job.started_at,
            sequence: self.next_line.fetch_add(1, Ordering::Relaxed),
            logged_at: self.now(),
            text: text[..text.floor_char_boundary(LONGEST_LINE)].replace('\0', "\u{fffd}"),
        }));
    }

    /// Takes a result that is too large to be held as a whole, piece by piece. An attempt has one
    /// result: a second writer takes the place of the first.
    ///
    /// ```
    /// # use coatcheck_worker::{HandlerError, JobContext, JobResult};
    /// # async fn run(context: &JobContext) -> Result<JobResult, HandlerError> {
    /// let mut writer = context.result_writer();
    /// for row in 0..1_000_000 {
    ///     writer.write(format!("{row}\n").as_bytes()).await?;
    /// }
    /// Ok(JobResult::new("text/plain", writer.finish().await?))
    /// # }
    /// ```
    pub fn result_writer(&self) -> ResultWriter<'_> {
        ResultWriter::new(self)
    }

    /// Whether the job has said anything.
    pub(crate) fn has_reported(&self) -> bool {
        self.has_reported.load(Ordering::Relaxed)
    }

    /// Reports are best effort: a job never waits because too many of them are on their way.
    fn report(&self, report: Report) {
        self.has_reported.store(true, Ordering::Relaxed);
        if self.reports.try_send(report).is_err() {
            metrics::counter!("coatcheck_reports_dropped_total").increment(1);
        }
    }
}
