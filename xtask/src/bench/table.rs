//! The measurements of every mode, side by side.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{measure::Row, subject::Mode, sweep::Sweep};
use crate::Result;

/// A table for people.
pub(crate) fn as_text(columns: &[(Mode, Vec<Row>)]) -> String {
    let mut text = format!("{:<40}", "");
    for (mode, _) in columns {
        write!(text, "{:>14}", mode.to_string()).ok();
    }
    for name in names(columns) {
        write!(text, "\n{name:<40}").ok();
        for (_, rows) in columns {
            let value = rows
                .iter()
                .find(|row| row.name == name)
                .map_or("–".to_owned(), |row| rounded(row.value));
            write!(text, "{value:>14}").ok();
        }
    }
    text
}

/// The same for programs, with what was measured along axes.
pub(crate) fn as_json(columns: &[(Mode, Vec<Row>)], sweeps: &[Sweep]) -> Result<Value> {
    let modes: Map<String, Value> = columns
        .iter()
        .map(|(mode, rows)| {
            let values: Map<String, Value> = rows
                .iter()
                .map(|row| (row.name.clone(), json!(row.value)))
                .collect();
            (mode.to_string(), Value::Object(values))
        })
        .collect();
    let mut all = Map::from_iter([("modes".to_owned(), Value::Object(modes))]);
    all.insert("sweeps".to_owned(), serde_json::to_value(sweeps)?);
    Ok(Value::Object(all))
}

/// Every row that any mode has, in the order of measuring.
fn names(columns: &[(Mode, Vec<Row>)]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in columns.iter().flat_map(|(_, rows)| rows) {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names
}

/// As many digits as mean something.
fn rounded(value: f64) -> String {
    let places = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, value: f64) -> Row {
        Row {
            name: name.to_owned(),
            value,
        }
    }

    #[test]
    fn a_row_that_a_mode_lacks_is_shown_as_such() {
        let columns = [
            (Mode::Embedded, vec![row("all", 1_234.5), row("one", 2.345)]),
            (
                Mode::Distributed,
                vec![row("all", 12.34), row("other", 1.0)],
            ),
        ];
        let text = as_text(&columns);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["embedded", "distributed"],
                vec!["all", "1234", "12.3"],
                vec!["one", "2.35", "–"],
                vec!["other", "–", "1.00"],
            ]
        );
        let json = as_json(&columns, &[]).unwrap();
        assert_eq!(json["modes"]["distributed"]["other"], json!(1.0));
    }
}
