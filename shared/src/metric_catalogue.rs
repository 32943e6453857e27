//! Every metric of the program: its name, its type, its labels and what it tells. `METRICS.md` is
//! this table for people, and a test holds one against the other; another one holds both against
//! what processes export.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// What a metric's value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often values fell below each bound.
    Histogram,
}

impl MetricType {
    /// The word for it in Prometheus' format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, in Prometheus' conventions.
    pub name: &'static str,
    /// What its value means.
    pub metric_type: MetricType,
    /// The labels that each of its series has; each has a bounded number of values.
    pub labels: &'static [&'static str],
    /// Which processes export it.
    pub from: &'static str,
    /// What it tells, as one line.
    pub help: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    from: &'static str,
    help: &'static str,
) -> Metric {
    metric(MetricType::Counter, name, labels, from, help)
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    from: &'static str,
    help: &'static str,
) -> Metric {
    metric(MetricType::Gauge, name, labels, from, help)
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    from: &'static str,
    help: &'static str,
) -> Metric {
    metric(MetricType::Histogram, name, labels, from, help)
}

const fn metric(
    metric_type: MetricType,
    name: &'static str,
    labels: &'static [&'static str],
    from: &'static str,
    help: &'static str,
) -> Metric {
    Metric {
        name,
        metric_type,
        labels,
        from,
        help,
    }
}

const API: &str = "api";
const WORKER: &str = "worker";
const BOTH: &str = "both";

/// Every metric.
#[rustfmt::skip]
pub const CATALOGUE: &[Metric] = &[
    counter("coatcheck_http_requests_total", &["route", "method", "status"], API, "Requests answered."),
    histogram("coatcheck_http_request_seconds", &["route", "method", "status"], API, "From a request's head to its answer's head; waits that the client asked for count."),
    gauge("coatcheck_queue_jobs", &["queue", "state"], API, "Jobs of all tenants in each queue, by state: scheduled, queued, running. Every API says the same: take the max."),
    gauge("coatcheck_queue_oldest_age_seconds", &["queue"], API, "How long the job that has been queued longest has waited; 0 where none is. Every API says the same."),
    gauge("coatcheck_census_age_seconds", &[], API, "How old the figures of the queues are. They are counted for a twentieth of the time at most."),
    counter("coatcheck_jobs_submitted_total", &["kind"], API, "Jobs stored."),
    counter("coatcheck_announcements_dropped_total", &[], API, "Hints and signals that were not sent; the dispatcher finds those jobs."),
    counter("coatcheck_jobs_finished_total", &["kind", "outcome"], WORKER, "Recorded ends of attempts: succeeded, failed, cancelled, retried, released."),
    histogram("coatcheck_job_run_seconds", &["kind"], WORKER, "How long attempts ran."),
    histogram("coatcheck_job_wait_seconds", &["queue"], WORKER, "From when a job was queued, or queued again, to the begin of its attempt."),
    gauge("coatcheck_jobs_running", &[], WORKER, "Slots in use: jobs that this worker holds, from claim to recorded end."),
    gauge("coatcheck_worker_slots", &[], WORKER, "Slots in all: jobs that this worker can hold (worker.concurrency)."),
    counter("coatcheck_stale_results_total", &[], WORKER, "Ends of attempts that were no longer their job's newest, and were dropped."),
    counter("coatcheck_lease_losses_total", &[], WORKER, "Leases that this worker lost: the database was away for too long."),
    counter("coatcheck_reports_dropped_total", &[], WORKER, "Progress reports and log lines that found no room."),
    counter("coatcheck_report_flushes_late_total", &[], WORKER, "Jobs whose last reports were not written before their end."),
    counter("coatcheck_signals_lost_total", &[], WORKER, "Groups of finished jobs that could not be announced; who waits looks once a second."),
    counter("coatcheck_hints_stale_total", &[], WORKER, "Hints of jobs that were not queued any more."),
    counter("coatcheck_handed_over_total", &[], WORKER, "Jobs claimed as they were stored, API and worker being one process."),
    counter("coatcheck_fallback_claims_total", &[], WORKER, "Jobs claimed straight from the store, Redis being away."),
    counter("coatcheck_jobs_due_total", &[], WORKER, "Scheduled jobs that the dispatcher made ready."),
    counter("coatcheck_hints_repushed_total", &[], WORKER, "Lost hints that the dispatcher pushed again."),
    counter("coatcheck_crashes_total", &[], WORKER, "Attempts under which a worker died: those queued again and those that ended with that."),
    counter("coatcheck_suspect_runs_total", &[], WORKER, "Runs apart from other jobs, a worker having died under the job before."),
    counter("coatcheck_rescued_total", &[], WORKER, "Dead workers' jobs that the rescuer queued again."),
    counter("coatcheck_rescued_ended_total", &[], WORKER, "Dead workers' jobs that ended with that."),
    counter("coatcheck_overdue_failed_total", &[], WORKER, "Jobs that failed because their time was over before they began."),
    counter("coatcheck_jobs_expired_total", &[], WORKER, "Finished jobs that the cleaner forgot."),
    histogram("coatcheck_keeper_sweep_seconds", &["keeper"], WORKER, "How long a look of the dispatcher, the rescuer or the cleaner took."),
    counter("coatcheck_keeper_errors_total", &["keeper"], WORKER, "Looks of a keeper that failed and were done again."),
    histogram("coatcheck_store_seconds", &["operation"], BOTH, "How long the database took to answer, waiting for a connection included."),
    counter("coatcheck_store_errors_total", &["operation"], BOTH, "Questions to the database that failed or were not answered in time."),
    gauge("coatcheck_store_connections", &["pool", "state"], BOTH, "Connections to the database: used, idle."),
    gauge("coatcheck_store_connections_max", &["pool"], BOTH, "How many connections to the database there may be."),
    histogram("coatcheck_redis_seconds", &["operation"], BOTH, "How long Redis took to answer; a pop waits for up to a second."),
    counter("coatcheck_redis_errors_total", &["operation"], BOTH, "Commands to Redis that failed or were not answered in time."),
    histogram("coatcheck_group_size", &["group"], BOTH, "How many submissions (insert) or ends (finish) shared one write."),
    counter("coatcheck_hints_dropped_total", &[], BOTH, "Hints that the queue in the process had no room for."),
    counter("coatcheck_trace_exports_total", &["outcome"], BOTH, "Groups of spans sent to the collector: sent, failed. Only where traces are on."),
    gauge("coatcheck_build_info", &["version", "role"], BOTH, "1; its labels tell which program runs here."),
    counter("process_cpu_seconds_total", &[], BOTH, "Processor time of the process."),
    gauge("process_resident_memory_bytes", &[], BOTH, "Memory of the process that is in RAM."),
    gauge("process_virtual_memory_bytes", &[], BOTH, "Address space of the process."),
    gauge("process_virtual_memory_max_bytes", &[], BOTH, "The most address space that it may have."),
    gauge("process_open_fds", &[], BOTH, "Open files; every connection is one."),
    gauge("process_max_fds", &[], BOTH, "How many files it may open."),
    gauge("process_threads", &[], BOTH, "Threads of the process."),
    gauge("process_start_time_seconds", &[], BOTH, "When the process began, in seconds since 1970."),
];

/// The label of those beyond the bound.
pub const OTHER: &str = "other";

/// Gives every metric its description in the current recorder, and has the counters without labels
/// begin at 0: what is not there yet has no rate.
pub fn describe() {
    for metric in CATALOGUE {
        let (name, help) = (metric.name, metric.help);
        match metric.metric_type {
            MetricType::Counter => describe_counter!(name, help),
            MetricType::Gauge => describe_gauge!(name, help),
            MetricType::Histogram => describe_histogram!(name, help),
        }
        let is_ours = name.starts_with("coatcheck_");
        if metric.metric_type == MetricType::Counter && metric.labels.is_empty() && is_ours {
            counter!(name).absolute(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `METRICS.md`, for people.
    const DOCUMENT: &str = include_str!("../../METRICS.md");

    #[test]
    fn the_document_has_a_row_for_each_metric_and_no_other() {
        let rows: Vec<&str> = DOCUMENT
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let expected: Vec<String> = CATALOGUE.iter().map(row).collect();
        assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
    }

    fn row(metric: &Metric) -> String {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.metric_type.as_str(),
            labels.join(", "),
            metric.from,
            metric.help
        )
    }

    #[test]
    fn names_keep_the_conventions() {
        for metric in CATALOGUE {
            let is_counter = metric.metric_type == MetricType::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{metric:?}");
            assert!(metric.help.ends_with('.'), "{metric:?}");
        }
    }
}
