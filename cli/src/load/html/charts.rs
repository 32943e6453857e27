//! The charts of a run.

use std::collections::BTreeMap;

use super::{
    chart::{Chart, Form, Series},
    markup::tag,
    scale::Unit,
};
use crate::load::report::{Moment, Report, Spread};

/// Errors of other causes than the most frequent are shown as one.
const MOST_CAUSES: usize = 5;

/// Every chart that has something to show.
pub(super) fn all(report: &Report) -> String {
    let charts = [
        throughput(report).to_html(),
        latency(
            report,
            "POST to result",
            "From a submission until its job was seen finished, by when it was.",
            |moment| moment.post_to_result_ms,
        )
        .to_html(),
        latency(
            report,
            "POST",
            "How long submissions took, by when they were answered.",
            |moment| moment.post_ms,
        )
        .to_html(),
        states(report),
        errors(report),
    ];
    charts.concat()
}

fn middle(moment: &Moment) -> f64 {
    moment.from_s + moment.length_s / 2.0
}

fn end(moment: &Moment) -> f64 {
    moment.from_s + moment.length_s
}

fn end_of(report: &Report) -> f64 {
    report.timeline.last().map_or(1.0, end).max(0.1)
}

fn series(
    report: &Report,
    (name, colour): (&str, usize),
    value: impl Fn(&Moment) -> Option<f64>,
) -> Series {
    Series {
        name: name.to_owned(),
        colour,
        values: report.timeline.iter().map(value).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

fn throughput(report: &Report) -> Chart {
    // A last piece that was cut short says little about a second, unless it is all there is.
    let is_short_run = report.timeline.len() == 1;
    let rate = |count: u64, moment: &Moment| {
        let says_enough = moment.length_s >= 0.2 || is_short_run;
        says_enough.then(|| float(count) / moment.length_s)
    };
    let mut rows = vec![series(report, ("accepted", 0), |moment| {
        rate(moment.accepted, moment)
    })];
    if report.wait != "none" {
        rows.push(series(report, ("finished", 1), |moment| {
            rate(moment.finished, moment)
        }));
    }
    if report.pace == "open" {
        rows.push(series(report, ("asked for", 2), |moment| {
            Some(moment.target)
        }));
    }
    Chart {
        title: "Throughput",
        about: "Jobs a second.",
        unit: Unit::PerSecond,
        form: Form::Lines,
        times: report.timeline.iter().map(middle).collect(),
        end_s: end_of(report),
        series: rows,
    }
}

fn latency(
    report: &Report,
    title: &'static str,
    about: &'static str,
    spread: fn(&Moment) -> Option<Spread>,
) -> Chart {
    let row = |name: (&str, usize), value: fn(Spread) -> f64| {
        series(report, name, |moment| spread(moment).map(value))
    };
    Chart {
        title,
        about,
        unit: Unit::Milliseconds,
        form: Form::Latencies,
        times: report.timeline.iter().map(middle).collect(),
        end_s: end_of(report),
        series: vec![
            row(("p50", 0), |spread| spread.p50),
            row(("p90", 1), |spread| spread.p90),
            row(("p99", 2), |spread| spread.p99),
            row(("max", 3), |spread| spread.max),
        ],
    }
}

fn states(report: &Report) -> String {
    if report.wait == "none" {
        let why = "<h2>Jobs by state</h2>\n<p>The jobs were not followed (--wait none), so their \
                   states are not known.</p>\n";
        return tag("section", "chart", why);
    }
    let finished = |moment: &Moment| Some(float(moment.finished_in_all));
    let running = |moment: &Moment| moment.running.map(float);
    let queued = |moment: &Moment| moment.queued.map(float);
    let all = state_chart(
        report,
        "Jobs by state",
        "How many of all accepted jobs were finished, running and waiting.",
        Form::Stacked,
        vec![
            series(report, ("finished", 0), finished),
            series(report, ("running", 1), running),
            series(report, ("waiting", 2), queued),
        ],
    );
    let most_active = report
        .timeline
        .iter()
        .map(|moment| moment.running.unwrap_or(0) + moment.queued.unwrap_or(0))
        .max();
    // Beside many finished jobs the others are too thin to be seen.
    let is_thin = most_active.is_some_and(|most| most > 0 && most * 10 < report.finished);
    let active = is_thin.then(|| {
        state_chart(
            report,
            "Running and waiting",
            "The same without the finished.",
            Form::Lines,
            vec![
                series(report, ("running", 1), running),
                series(report, ("waiting", 2), queued),
            ],
        )
    });
    all + &active.unwrap_or_default()
}

fn state_chart(
    report: &Report,
    title: &'static str,
    about: &'static str,
    form: Form,
    mut series: Vec<Series>,
) -> String {
    // At the start there was none.
    for row in &mut series {
        row.values.insert(0, Some(0.0));
    }
    let ends = report.timeline.iter().map(end);
    let chart = Chart {
        title,
        about,
        unit: Unit::Jobs,
        form,
        times: std::iter::once(0.0).chain(ends).collect(),
        end_s: end_of(report),
        series,
    };
    chart.to_html()
}

fn errors(report: &Report) -> String {
    let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
    for (cause, count) in report.timeline.iter().flat_map(|moment| &moment.errors) {
        *causes.entry(cause).or_default() += count;
    }
    if causes.is_empty() {
        let none = "<h2>Errors</h2>\n<p>There were none.</p>\n";
        return tag("section", "chart", none);
    }
    let mut frequent: Vec<_> = causes.into_iter().collect();
    frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named: Vec<&str> = frequent
        .iter()
        .take(MOST_CAUSES)
        .map(|(cause, _)| *cause)
        .collect();
    let of = |moment: &Moment, cause: &str| moment.errors.get(cause).copied().unwrap_or(0);
    let mut rows: Vec<Series> = named
        .iter()
        .enumerate()
        .map(|(colour, cause)| {
            let count = |moment: &Moment| Some(float(of(moment, cause)));
            series(report, (*cause, colour), count)
        })
        .collect();
    if frequent.len() > MOST_CAUSES {
        rows.push(series(report, ("others", MOST_CAUSES), |moment| {
            let others = moment.errors.iter();
            let others = others.filter(|(cause, _)| !named.contains(&cause.as_str()));
            Some(float(others.map(|(_, count)| count).sum()))
        }));
    }
    let chart = Chart {
        title: "Errors",
        about: "By status or cause.",
        unit: Unit::Errors,
        form: Form::Bars,
        times: report.timeline.iter().map(|moment| moment.from_s).collect(),
        end_s: end_of(report),
        series: rows,
    };
    chart.to_html()
}
