//! What a command writes to stdout.

use std::io::{self, IsTerminal, Write};

use super::{
    api::{Answer, Api, Call},
    problem,
    times::Times,
};
use crate::failure::Failure;

/// Stdout, for people or for programs.
pub(super) struct Output {
    json: bool,
    terminal: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { json, terminal }
    }

    /// Whether programs read it: exactly what the server has answered.
    pub(super) const fn json(&self) -> bool {
        self.json
    }

    /// Whether a person reads it.
    pub(super) const fn terminal(&self) -> bool {
        self.terminal
    }

    pub(super) fn times(&self) -> Times {
        Times::shown(self.terminal)
    }

    /// Has a call answered with success. Programs get the problem document, where it is one.
    ///
    /// # Errors
    /// Where nobody answers, or with a problem.
    pub(super) async fn ask(&self, api: &Api, call: &Call) -> Result<Answer, Failure> {
        let (answer, headers) = api.answer(call).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        if self.json && problem::is_one(&headers) {
            self.raw(&answer.body)?;
        }
        Err(problem::failure(answer.status, &headers, &answer.body))
    }

    /// Writes JSON of the server's, on a line.
    pub(super) fn raw(&self, body: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(body.trim_ascii_end())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(|error| unwritable(&error))
    }

    /// Writes lines for people. A terminal is not given what it would obey.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        if self.terminal {
            let harmless = |character: char| matches!(character, '\n' | '\t');
            let harmful = |character: char| character.is_control() && !harmless(character);
            self.raw(text.replace(harmful, "\u{fffd}").as_bytes())
        } else {
            self.raw(text.as_bytes())
        }
    }

    /// Writes rows in columns, each as wide as it must be.
    pub(super) fn table(&self, rows: &[Vec<String>]) -> Result<(), Failure> {
        self.text(&aligned(rows))
    }
}

/// What it means that stdout takes no more. A reader that has seen enough is no error.
pub(super) fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    Failure::error(format!("stdout cannot be written: {error}"))
}

fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bé", "c"], ["aaa", "b", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "a    bé  c\naaa  b");
    }
}
