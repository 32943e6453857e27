//! `--html`: the report as one page that needs nothing else, neither a script nor another file.

mod chart;
mod charts;
mod markup;
mod scale;
mod tables;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use coatcheck_shared::clock::{Clock, SystemClock};

use self::markup::{escaped, tag};
use super::report::{Report, grouped, rounded};
use crate::failure::{Failure, USAGE};

const STYLE: &str = include_str!("html/style.css");

/// Nothing may be fetched from anywhere, whatever stands in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Where the page goes, opened before the run: a place that cannot be written is told at once. A run
/// that comes to no report leaves no file that was not there.
pub(super) struct Page {
    path: PathBuf,
    file: File,
    /// Whether there is nothing yet in a file of ours.
    is_new: bool,
}

impl Page {
    /// The place of a page; what is there stays until the page is written.
    ///
    /// # Errors
    /// Where nothing can be written there.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true);
        let opened = match options.clone().create_new(true).open(path) {
            Ok(file) => Ok((file, true)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                options.open(path).map(|file| (file, false))
            }
            Err(error) => Err(error),
        };
        let (file, is_new) = opened.map_err(|error| {
            let shown = path.display();
            Failure::new(USAGE, format!("--html: {shown} cannot be written: {error}"))
        })?;
        let path = path.to_owned();
        Ok(Self { path, file, is_new })
    }

    /// Writes the page.
    ///
    /// # Errors
    /// Where it cannot be written to its end.
    pub(super) fn write(mut self, report: &Report) -> Result<(), Failure> {
        let page = page(report, &SystemClock.now().to_string());
        self.is_new = false;
        self.replace(page.as_bytes()).map_err(|error| {
            let shown = self.path.display();
            Failure::error(format!("--html: {shown} cannot be written: {error}"))
        })
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Of a pipe or a terminal there is nothing to cut off.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
            self.file.rewind()?;
        }
        self.file.write_all(bytes)?;
        self.file.flush()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if self.is_new {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// The page of a report that was written at this time.
fn page(report: &Report, written_at: &str) -> String {
    let title = format!("Load test: {}", escaped(&report.kind));
    let body = [
        head(report, &title, written_at),
        tiles(report),
        tables::thresholds(report),
        charts::all(report),
        tables::latencies(report),
        tables::parts(report),
        tables::errors(report),
        tables::moments(report),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
         </body>\n</html>\n",
        body.concat()
    )
}

fn head(report: &Report, title: &str, written_at: &str) -> String {
    let verdict = if report.has_failed() {
        "<p class=\"verdict bad\">Failed: a condition holds</p>\n"
    } else if !report.is_clean() {
        "<p class=\"verdict bad\">There were errors</p>\n"
    } else if report.thresholds.is_empty() {
        "<p class=\"verdict good\">No errors</p>\n"
    } else {
        "<p class=\"verdict good\">Passed</p>\n"
    };
    let followed = match report.wait {
        "none" => "not followed",
        "submit" => "waited for in the submission",
        "long-poll" => "followed by long polls",
        "events" => "followed by their events",
        _ => "followed by polls",
    };
    let about = format!(
        "{}, {} connections, jobs {followed}; {:.1} s{}. Written {}.",
        report.pace_in_words(),
        grouped(report.connections.into()),
        report.elapsed_s,
        if report.interrupted {
            ", interrupted"
        } else {
            ""
        },
        written_at
            .split('.')
            .next()
            .unwrap_or_default()
            .replace('T', " ")
            + " UTC",
    );
    format!(
        "<header>\n<h1>{title}</h1>\n{verdict}{}</header>\n",
        tag("p", "about", &escaped(&about))
    )
}

/// The figures that are looked for first.
fn tiles(report: &Report) -> String {
    let mut tiles = vec![(
        "Accepted",
        grouped(report.accepted),
        per_s(report.accepted_per_s),
    )];
    if report.wait != "none" {
        tiles.push((
            "Finished",
            grouped(report.finished),
            per_s(report.finished_per_s),
        ));
    }
    if let Some(time) = report.drained_s {
        tiles.push(("Drained after", format!("{time:.2} s"), String::new()));
    }
    let post = report.latency_ms.post;
    for (name, quantiles) in [
        ("POST, p50", post),
        ("POST to result, p50", report.latency_ms.post_to_result),
    ] {
        if let Some(quantiles) = quantiles {
            let p99 = format!("p99 {}", scale::milliseconds(quantiles.p99));
            tiles.push((name, scale::milliseconds(quantiles.p50), p99));
        }
    }
    let not_well = report.failed + report.cancelled;
    let failed = match not_well {
        0 => String::new(),
        count => format!("and {} jobs failed", grouped(count)),
    };
    tiles.push(("Errors", grouped(report.error_count()), failed));
    if report.unfinished > 0 {
        tiles.push((
            "Not seen to finish",
            grouped(report.unfinished),
            String::new(),
        ));
    }
    let tiles = tiles.iter().map(|(name, value, more)| {
        format!(
            "<div><dt>{name}</dt><dd>{}</dd><dd class=\"more\">{}</dd></div>\n",
            escaped(value),
            escaped(more)
        )
    });
    format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.collect::<String>())
}

fn per_s(rate: f64) -> String {
    format!("{}/s", rounded(rate))
}

#[cfg(test)]
mod tests;
