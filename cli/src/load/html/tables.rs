//! The tables of a run.

use super::{
    markup::{escaped, table, tag},
    scale::{milliseconds, time},
};
use crate::load::report::{Quantiles, Report, Spread, grouped, rounded};

/// The conditions, and what became of each.
pub(super) fn thresholds(report: &Report) -> String {
    if report.thresholds.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = report
        .thresholds
        .iter()
        .map(|verdict| {
            let (class, word) = if verdict.crossed {
                ("bad", "holds: failed")
            } else {
                ("good", "does not hold")
            };
            vec![
                format!("<code>{}</code>", escaped(&verdict.fail_if)),
                escaped(&verdict.measured()),
                format!("<span class=\"{class}\">{word}</span>"),
            ]
        })
        .collect();
    section(&table(
        "Fail if",
        &["condition", "measured", "verdict"],
        &rows,
    ))
}

/// Latencies of the whole run.
pub(super) fn latencies(report: &Report) -> String {
    let rows: Vec<_> = [
        ("POST", report.latency_ms.post),
        ("POST to result", report.latency_ms.post_to_result),
    ]
    .into_iter()
    .filter_map(|(name, quantiles)| Some(latency_row(name, quantiles?)))
    .collect();
    if rows.is_empty() {
        return String::new();
    }
    section(&table("Latency", &LATENCY_HEADS, &rows))
}

const LATENCY_HEADS: [&str; 8] = ["", "count", "mean", "p50", "p90", "p99", "p99.9", "max"];

fn latency_row(name: &str, quantiles: Quantiles) -> Vec<String> {
    let Quantiles {
        count,
        mean,
        p50,
        p90,
        p99,
        p999,
        max,
        ..
    } = quantiles;
    let times = [mean, p50, p90, p99, p999, max].map(milliseconds);
    [escaped(name), grouped(count)]
        .into_iter()
        .chain(times)
        .collect()
}

/// The parts of a mix.
pub(super) fn parts(report: &Report) -> String {
    if report.jobs.len() < 2 {
        return String::new();
    }
    let counts: Vec<_> = report
        .jobs
        .iter()
        .map(|part| {
            vec![
                escaped(&part.name),
                escaped(&part.kind),
                part.weight.to_string(),
                grouped(part.accepted),
                grouped(part.succeeded),
                grouped(part.failed + part.cancelled),
                grouped(part.unfinished),
            ]
        })
        .collect();
    let heads = [
        "",
        "kind",
        "weight",
        "accepted",
        "succeeded",
        "failed",
        "unfinished",
    ];
    let latencies = report.jobs.iter().filter_map(|part| {
        let quantiles = part.latency_ms.post_to_result.or(part.latency_ms.post);
        Some(latency_row(&part.name, quantiles?))
    });
    let latencies: Vec<_> = latencies.collect();
    let caption = if report.latency_ms.post_to_result.is_some() {
        "Latency by kind of job, POST to result"
    } else {
        "Latency by kind of job, POST"
    };
    section(&(table("Jobs by kind", &heads, &counts) + &table(caption, &LATENCY_HEADS, &latencies)))
}

/// What went wrong, with what the server said.
pub(super) fn errors(report: &Report) -> String {
    if report.errors.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = report
        .errors
        .iter()
        .map(|(cause, error)| {
            vec![
                escaped(cause),
                grouped(error.count),
                escaped(error.example.as_deref().unwrap_or("–")),
            ]
        })
        .collect();
    let heads = ["status or cause", "count", "what the server said first"];
    section(&table("Errors", &heads, &rows).replacen("<table", "<table class=\"texts\"", 1))
}

/// What the charts show, as figures.
pub(super) fn moments(report: &Report) -> String {
    let heads = [
        "from",
        "accepted",
        "finished",
        "waiting",
        "running",
        "errors",
        "POST p50",
        "POST p99",
        "result p50",
        "result p90",
        "result p99",
        "result max",
    ];
    let count = |count: Option<u64>| count.map_or("–".to_owned(), grouped);
    let latency = |spread: Option<Spread>, value: fn(Spread) -> f64| {
        spread.map_or("–".to_owned(), |spread| milliseconds(value(spread)))
    };
    let rows: Vec<_> = report
        .timeline
        .iter()
        .map(|moment| {
            vec![
                time(moment.from_s),
                grouped(moment.accepted),
                grouped(moment.finished),
                count(moment.queued),
                count(moment.running),
                grouped(moment.errors.values().sum()),
                latency(moment.post_ms, |spread| spread.p50),
                latency(moment.post_ms, |spread| spread.p99),
                latency(moment.post_to_result_ms, |spread| spread.p50),
                latency(moment.post_to_result_ms, |spread| spread.p90),
                latency(moment.post_to_result_ms, |spread| spread.p99),
                latency(moment.post_to_result_ms, |spread| spread.max),
            ]
        })
        .collect();
    let each_s = report
        .timeline
        .first()
        .map_or(1.0, |moment| moment.length_s);
    let caption = format!("Each row is {} s", rounded(each_s));
    let table = table(&caption, &heads, &rows);
    section(&format!(
        "<details>\n<summary>All figures behind the charts</summary>\n{table}</details>\n"
    ))
}

fn section(content: &str) -> String {
    tag("section", "table", content)
}
