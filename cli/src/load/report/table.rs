//! The report as a table, for people.

use std::fmt;

use super::{
    Report,
    figures::{Quantiles, grouped, rounded},
};

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} jobs, {}, {} connections, {:.1} s{}\n",
            self.kind,
            self.pace_in_words(),
            self.connections,
            self.elapsed_s,
            if self.interrupted {
                ", interrupted"
            } else {
                ""
            },
        )?;
        self.write_counts(out)?;
        self.write_latencies(out)?;
        self.write_parts(out)?;
        self.write_late(out)?;
        self.write_errors(out)?;
        self.write_thresholds(out)
    }
}

impl Report {
    /// How the jobs came.
    pub(crate) fn pace_in_words(&self) -> String {
        let peak = self.stages.iter().map(|stage| stage.to).fold(0.0, f64::max);
        let stages = match self.stages.len() {
            1 => "1 stage".to_owned(),
            count => format!("{count} stages"),
        };
        match (self.pace, self.rate, self.stages.is_empty()) {
            ("closed", _, true) => "closed loop".to_owned(),
            ("closed", _, false) => format!("closed loop of {stages}"),
            (_, Some(rate), _) => format!("open loop at {rate}/s"),
            (_, None, _) => format!("open loop of {stages}, up to {peak}/s"),
        }
    }

    fn write_counts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, count: u64, rate: Option<f64>| {
            let rate = rate.map_or(String::new(), |rate| format!("{:>12}/s", rounded(rate)));
            writeln!(out, "  {name:<16}{:>12}{rate}", grouped(count))
        };
        row("requests", self.requests, None)?;
        row("accepted", self.accepted, Some(self.accepted_per_s))?;
        if self.finished > 0 || self.unfinished > 0 {
            row("finished", self.finished, Some(self.finished_per_s))?;
        }
        for (name, count) in [
            ("failed", self.failed),
            ("cancelled", self.cancelled),
            ("unfinished", self.unfinished),
        ] {
            if count > 0 {
                row(name, count, None)?;
            }
        }
        row("errors", self.error_count(), None)?;
        if let (Some(time), Some(rate)) = (self.drained_s, self.drained_per_s) {
            row("drained", self.accepted, Some(rate))?;
            writeln!(out, "  {:<16}{time:>10.2} s", "until drained")?;
        }
        Ok(())
    }

    fn write_latencies(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("POST".to_owned(), self.latency_ms.post),
            ("POST to result".to_owned(), self.latency_ms.post_to_result),
        ];
        write_quantiles(out, "latency, ms", &rows)
    }

    fn write_parts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.jobs.len() < 2 {
            return Ok(());
        }
        writeln!(
            out,
            "\n  {:<16}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "jobs by kind", "weight", "accepted", "finished", "failed", "unfinished"
        )?;
        for part in &self.jobs {
            writeln!(
                out,
                "  {:<16}{:>12}{:>12}{:>12}{:>12}{:>12}",
                part.name,
                part.weight,
                grouped(part.accepted),
                grouped(part.finished()),
                grouped(part.failed + part.cancelled),
                grouped(part.unfinished),
            )?;
        }
        let is_followed = self.latency_ms.post_to_result.is_some();
        let title = if is_followed {
            "to result, ms"
        } else {
            "POST, ms"
        };
        let rows = self.jobs.iter().map(|part| {
            let latencies = part.latency_ms;
            let quantiles = if is_followed {
                latencies.post_to_result
            } else {
                latencies.post
            };
            (part.name.clone(), quantiles)
        });
        write_quantiles(out, title, &rows.collect::<Vec<_>>())
    }

    fn write_late(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(late) = self.late.as_ref().filter(|late| late.jobs > 0) else {
            return Ok(());
        };
        writeln!(
            out,
            "\nThe schedule could not be kept: {} jobs were submitted late, up to {:.1} ms, {} of \
             them for\nwant of a free connection. That wait is part of the latencies.",
            grouped(late.jobs),
            late.longest_ms,
            grouped(late.without_connection),
        )?;
        if late.without_connection > 0 {
            writeln!(
                out,
                "There were {} connections (--connections){}.",
                self.connections,
                match self.wait {
                    "none" | "poll" => "",
                    _ => "; waiting for a job holds one until it is finished",
                },
            )?;
        }
        Ok(())
    }

    fn write_errors(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.errors.is_empty() {
            writeln!(out, "\nErrors:")?;
        }
        for (name, error) in &self.errors {
            let example = error.example.as_deref();
            let example = example.map_or(String::new(), |text| format!(": {text}"));
            writeln!(out, "  {:>8} × {name}{example}", grouped(error.count))?;
        }
        Ok(())
    }

    fn write_thresholds(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.thresholds.is_empty() {
            writeln!(out, "\nFail if:")?;
        }
        for verdict in &self.thresholds {
            writeln!(out, "  {verdict}")?;
        }
        Ok(())
    }
}

fn write_quantiles(
    out: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[(String, Option<Quantiles>)],
) -> fmt::Result {
    if rows.iter().all(|(_, quantiles)| quantiles.is_none()) {
        return Ok(());
    }
    writeln!(
        out,
        "\n  {title:<16}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "p50", "p90", "p99", "p99.9", "max"
    )?;
    for (name, quantiles) in rows {
        let Some(q) = quantiles else { continue };
        writeln!(
            out,
            "  {name:<16}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>12.2}",
            q.p50, q.p90, q.p99, q.p999, q.max
        )?;
    }
    Ok(())
}
