//! One row of the contract: reading it, sending it, and saying what is wrong with the answer.

use std::collections::HashMap;

use coatcheck_tests::client::{Answer, Client};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

/// What stands behind a `;` within a value.
const PARAMETERS: [&str; 2] = ["rel", "charset"];

/// The names that rows have given to what they saw.
pub(super) type Names = HashMap<String, String>;

/// Rows that are tried on one server, in their order.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// What its settings hold beside those of every server.
    pub(super) settings: String,
    pub(super) rows: Vec<Row>,
}

impl Section {
    /// Every section of a table.
    pub(super) fn all(table: &str) -> Vec<Self> {
        let mut sections = vec![Self::default()];
        let lines = table.lines().filter(|line| !line.is_empty());
        for line in lines.filter(|line| !line.starts_with('#')) {
            if let Some(settings) = line.strip_prefix("@ ") {
                sections.push(Self {
                    settings: settings.replace(';', "\n"),
                    rows: Vec::new(),
                });
            } else if let Some(section) = sections.last_mut() {
                section.rows.push(Row::of(line));
            }
        }
        sections
    }
}

/// A row, as it stands in the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) situation: String,
    request: String,
    fields: String,
    body: String,
    outcome: String,
    expected: Vec<String>,
}

impl Row {
    fn of(line: &str) -> Self {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [situation, request, fields, body, outcome, expected] = cells[..] else {
            panic!("a row has six cells: {line}");
        };
        Self {
            situation: situation.to_owned(),
            request: request.to_owned(),
            fields: fields.to_owned(),
            body: body.to_owned(),
            outcome: outcome.to_owned(),
            expected: split(expected),
        }
    }

    /// Whether it is to be tried again until it holds.
    pub(super) fn is_patient(&self) -> bool {
        self.expected.iter().any(|each| each == "eventually")
    }

    /// Sends the request.
    pub(super) async fn send(&self, client: &Client, names: &Names) -> Answer {
        let request = fill(&self.request, names);
        let (method, target) = request.split_once(' ').unwrap();
        let mut fields = HeaderMap::new();
        let mut key = "admin".to_owned();
        if !self.body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            fields.insert("content-type", json);
        }
        for field in split(&fill(&self.fields, names)) {
            let (name, value) = field.split_once(':').unwrap();
            let (name, value) = (name.trim(), value.trim());
            let header: HeaderName = name.parse().unwrap();
            if name == "as" {
                key = value.to_owned();
            } else if value.is_empty() {
                fields.remove(header);
            } else {
                fields.insert(header, value.parse().unwrap());
            }
        }
        if key != "none" {
            let key = format!("Bearer {}", names.get(&key).unwrap());
            fields.insert("authorization", key.parse().unwrap());
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client.request(method, target).headers(fields);
        if !self.body.is_empty() {
            request = request.body(fill_body(&self.body, names));
        }
        client.send(request).await.unwrap()
    }

    /// What is wrong with an answer; what it is to be remembered for is kept.
    pub(super) fn faults(&self, answer: &Answer, names: &mut Names) -> Vec<String> {
        let mut faults = always(&self.request, answer);
        let (status, problem) = self.outcome.split_once(' ').unwrap_or((&self.outcome, ""));
        if !is_like(&answer.status.to_string(), status) {
            faults.push(format!("status {} instead of {status}", answer.status));
        }
        let found = answer.json()["type"].as_str().unwrap_or("").to_owned();
        if !problem.is_empty() && !is_like(&found, &format!("/problems/{problem}")) {
            faults.push(format!("problem {found:?} instead of {problem}"));
        }
        for expected in &self.expected {
            let expected = fill(expected, names);
            if let Some(save) = expected.strip_prefix("save ") {
                let (name, what) = save.split_once('=').unwrap_or((save, "/id"));
                match found_at(answer, what) {
                    Some(value) => drop(names.insert(name.to_owned(), value)),
                    None => faults.push(format!("no {what} to be saved")),
                }
            } else if expected != "eventually" {
                faults.extend(fault(answer, &expected));
            }
        }
        faults
    }
}

/// What HTTP.md says of every answer.
fn always(request: &str, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    for name in ["x-request-id", "cache-control", "date"] {
        if answer.header(name).is_empty() {
            faults.push(format!("no {name}"));
        }
    }
    let is_head = request.starts_with("HEAD ");
    if is_head && !answer.body.is_empty() {
        faults.push("a body to a HEAD".to_owned());
    }
    if answer.status < 400 || is_head {
        return faults;
    }
    let problem = answer.json();
    if answer.header("content-type") != "application/problem+json" {
        faults.push("no problem document".to_owned());
    }
    if answer.header("cache-control") != "no-store" {
        faults.push("an error that may be stored".to_owned());
    }
    if problem["status"] != answer.status || problem["instance"] != answer.header("x-request-id") {
        faults.push("the problem is another's".to_owned());
    }
    for member in ["type", "title", "detail"] {
        if problem[member].as_str().is_none_or(str::is_empty) {
            faults.push(format!("the problem has no {member}"));
        }
    }
    faults
}

fn fault(answer: &Answer, expected: &str) -> Option<String> {
    if let Some(absent) = expected.strip_prefix('!') {
        return found_at(answer, absent).map(|value| format!("{absent} is there: {value}"));
    }
    let (name, wanted) = expected.split_once('=').unwrap_or((expected, "~"));
    match found_at(answer, name) {
        None => Some(format!("no {name}")),
        Some(value) if !is_like(&value, wanted) => {
            Some(format!("{name} is {value:?} instead of {wanted:?}"))
        }
        Some(_) => None,
    }
}

/// A header field, `body`, or something in the JSON.
fn found_at(answer: &Answer, what: &str) -> Option<String> {
    if what == "body" {
        return Some(answer.text());
    }
    if !what.starts_with('/') {
        let value = answer.headers.get(what)?;
        return Some(value.to_str().unwrap_or("?").to_owned());
    }
    let json = answer.json();
    if let Some(list) = what.strip_suffix("/length") {
        return Some(json.pointer(list)?.as_array()?.len().to_string());
    }
    Some(match json.pointer(what)? {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    })
}

/// Whether a text is as a pattern says, in which `~` is anything.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('~');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What stands between `;`, but for those that belong to a value.
fn split(cell: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in cell.split(';').map(str::trim) {
        let parameter = part.split('=').next().unwrap_or_default();
        match parts.last_mut() {
            Some(last) if PARAMETERS.contains(&parameter) => *last = format!("{last}; {part}"),
            _ if part.is_empty() => {}
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

fn fill(text: &str, names: &Names) -> String {
    let mut filled = text.to_owned();
    for (name, value) in names {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

/// Braces are JSON's own: only a body that is one name is filled.
fn fill_body(body: &str, names: &Names) -> String {
    let name = body
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    name.and_then(|name| names.get(name))
        .cloned()
        .unwrap_or_else(|| body.to_owned())
}
