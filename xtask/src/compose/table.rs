//! What was seen, step by step.

use std::{fmt, time::Duration};

use super::stream::Tally;

/// The rows so far.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

struct Row {
    name: &'static str,
    took: Duration,
    seen: Option<Tally>,
}

impl Table {
    /// Adds a step; without a tally where nothing was submitted meanwhile.
    pub(super) fn add(&mut self, name: &'static str, took: Duration, seen: Option<Tally>) {
        self.rows.push(Row { name, took, seen });
    }

    /// Adds a line below the table.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<52}{:>9}{:>11}{:>11}",
            "", "seconds", "accepted", "repeated"
        )?;
        for Row { name, took, seen } in &self.rows {
            write!(formatter, "{name:<52}{:>9.1}", took.as_secs_f64())?;
            match seen {
                Some(seen) => writeln!(formatter, "{:>11}{:>11}", seen.accepted, seen.repeated)?,
                None => writeln!(formatter, "{:>11}{:>11}", "–", "–")?,
            }
        }
        for note in &self.notes {
            writeln!(formatter, "{note}")?;
        }
        Ok(())
    }
}
