//! Writes down, in groups, what running jobs say of themselves.

use std::{collections::HashMap, sync::Arc, time::Duration};

use coatcheck_shared::{
    job::JobId,
    store::{LogLine, ProgressReport, Store},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::context::Report;

/// How many reports may be on their way.
pub(crate) const WAITING_REPORTS: usize = 8_192;

/// How long something said may wait for company, and so how often one job's progress is written.
const PERIOD: Duration = Duration::from_millis(250);
const LARGEST_GROUP: usize = 500;
/// How many lines are kept for the database's return.
const LINES_KEPT: usize = 10_000;
/// How long the end of an attempt waits for its lines to be written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// Has everything that was reported before written down, or waits no longer.
pub(crate) async fn flush(reports: &mpsc::Sender<Report>) {
    let flushed = async {
        let (done, flushed) = oneshot::channel();
        if reports.send(Report::Flush(done)).await.is_ok() {
            // An error means that the reporter is gone, and nobody is left to wait for.
            let _ = flushed.await;
        }
    };
    if timeout(FLUSH_DEADLINE, flushed).await.is_err() {
        metrics::counter!("coatcheck_report_flushes_late_total").increment(1);
    }
}

/// What has been said and not yet written.
#[derive(Default)]
struct Gathered {
    lines: Vec<LogLine>,
    progress: HashMap<(JobId, u32), ProgressReport>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Writes reports until all who could report are gone.
pub(crate) async fn run(store: Arc<dyn Store>, mut reports: mpsc::Receiver<Report>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gathered = Gathered::default();
    let mut received = Vec::with_capacity(LARGEST_GROUP);
    loop {
        let is_due = tokio::select! {
            count = reports.recv_many(&mut received, LARGEST_GROUP) => {
                if count == 0 {
                    break;
                }
                received.drain(..).for_each(|report| gathered.add(report));
                !gathered.waiting.is_empty() || gathered.lines.len() >= LARGEST_GROUP
            }
            _ = ticks.tick() => true,
        };
        if is_due {
            gathered.write(&*store).await;
        }
    }
    gathered.write(&*store).await;
}

impl Gathered {
    fn add(&mut self, report: Report) {
        match report {
            Report::Log(line) => self.lines.push(line),
            Report::Progress(report) => {
                self.progress.insert((report.id, report.attempt), report);
            }
            Report::Flush(done) => self.waiting.push(done),
        }
    }

    async fn write(&mut self, store: &dyn Store) {
        self.write_progress(store).await;
        self.write_lines(store).await;
        for done in self.waiting.drain(..) {
            // Who waited may have run out of patience.
            let _ = done.send(());
        }
    }

    /// Progress is out of date before a second try: it is tried once.
    async fn write_progress(&mut self, store: &dyn Store) {
        if self.progress.is_empty() {
            return;
        }
        let reports: Vec<ProgressReport> =
            self.progress.drain().map(|(_, report)| report).collect();
        if let Err(error) = store.record_progress(&reports).await {
            tracing::warn!(%error, "progress could not be written");
        }
    }

    /// Lines are kept for the next try: a line written twice is kept once.
    async fn write_lines(&mut self, store: &dyn Store) {
        while !self.lines.is_empty() {
            let count = self.lines.len().min(LARGEST_GROUP);
            match store.append_logs(&self.lines[..count]).await {
                Ok(()) => drop(self.lines.drain(..count)),
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(%error, "lines of jobs' logs wait to be written");
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, count, "lines of jobs' logs are refused and dropped");
                    self.lines.drain(..count);
                }
            }
        }
        let excess = self.lines.len().saturating_sub(LINES_KEPT);
        if excess > 0 {
            self.lines.drain(..excess);
            metrics::counter!("coatcheck_reports_dropped_total").increment(excess as u64);
        }
    }
}
