//! What cannot be read as a setting, told in the words of whoever set it.

use std::borrow::Cow;

use figment::{Figment, error::Kind};

use super::load::{ADDRESSES, PREFIX};

/// The settings whose values are never shown.
const SECRETS: [&str; 3] = ["database_url", "redis_url", "auth.admin_key"];

/// Where settings can stand beside the defaults.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The names of the variables that are set to something.
    pub(super) variables: Vec<String>,
    /// The file that `COATCHECK_CONFIG` names.
    pub(super) file: Option<String>,
}

impl Sources {
    /// A setting as its user knows it: the variable, or else the key in the file.
    fn name_of(&self, path: &[String]) -> String {
        let key = path.join(".");
        let address = ADDRESSES
            .into_iter()
            .find(|name| name.eq_ignore_ascii_case(&key))
            .map(str::to_owned);
        let variable =
            address.unwrap_or_else(|| format!("{PREFIX}{}", path.join("__").to_ascii_uppercase()));
        let is_set = |name: &String| name.eq_ignore_ascii_case(&variable);
        match (self.variables.iter().any(is_set), &self.file) {
            (true, _) => variable,
            (false, Some(file)) => format!("{key} in {file}"),
            (false, None) => key,
        }
    }

    /// One line for each setting that could not be read: its name, its value, what would be right.
    pub(super) fn explain(&self, figment: &Figment, error: figment::Error) -> Vec<String> {
        error
            .into_iter()
            .map(|error| self.explain_one(figment, error))
            .collect()
    }

    fn explain_one(&self, figment: &Figment, error: figment::Error) -> String {
        let mut path = error.path;
        match error.kind {
            Kind::UnknownField(field, known) => {
                path.retain(|part| *part != field);
                let within = path.join(".");
                path.push(field);
                let name = self.name_of(&path);
                let place = if within.is_empty() {
                    "at the top".to_owned()
                } else {
                    format!("in [{within}]")
                };
                format!(
                    "{name} is no setting: there are {} {place}",
                    known.join(", ")
                )
            }
            Kind::MissingField(field) => {
                path.push(field.into_owned());
                format!("{} is missing", self.name_of(&path))
            }
            // Nothing has a path yet where the file itself cannot be read.
            Kind::Message(message) if path.is_empty() => match &self.file {
                Some(file) => format!("{file} is not TOML: {message}"),
                None => message,
            },
            kind => {
                let name = self.name_of(&path);
                let key = path.join(".");
                let right = right(&path, &kind);
                if SECRETS.contains(&key.as_str()) {
                    return format!("{name} cannot be read (its value is not shown): {right}");
                }
                let value = figment
                    .find_value(&key)
                    .ok()
                    .and_then(|value| serde_json::to_string(&value).ok());
                match value {
                    Some(value) => format!("{name} is {value}: {right}"),
                    None => format!("{name}: {right}"),
                }
            }
        }
    }
}

/// What would be right.
fn right(path: &[String], kind: &Kind) -> Cow<'static, str> {
    if path.last().is_some_and(|name| name == "listen") {
        return "it must be an address and port such as 127.0.0.1:8080".into();
    }
    match kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => must_be(expected),
        Kind::UnknownVariant(_, known) => format!("it must be one of {}", known.join(", ")).into(),
        Kind::Message(message) => message.clone().into(),
        other => other.to_string().into(),
    }
}

/// What a type of Rust's is to who has never seen it.
fn must_be(expected: &str) -> Cow<'static, str> {
    match expected {
        "a boolean" => "it must be true or false".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "it must be a whole number, 0 or more".into(),
        "f32" | "f64" => "it must be a number".into(),
        "a sequence" => r#"it must be a list such as ["a", "b"]"#.into(),
        "a string" | "path string" => r#"it must be text; a number is text in quotes: "1""#.into(),
        "a map" => "it must be a table of settings".into(),
        other if other.starts_with("struct ") => "it must be a table of settings".into(),
        other => format!("it must be {other}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load_from;

    #[test]
    fn what_cannot_be_read_is_told_with_its_value_and_what_would_be_right() {
        for (text, told) in [
            (
                "http.allow_private = \"perhaps\"",
                "http.allow_private is \"perhaps\": it must be true or false",
            ),
            (
                "worker.concurrency = \"many\"",
                "worker.concurrency is \"many\": it must be a whole number, 0 or more",
            ),
            (
                "worker.lease_s = -1",
                "worker.lease_s is -1: it must be a whole number, 0 or more",
            ),
            (
                "keepers.sweep_s = \"often\"",
                "keepers.sweep_s is \"often\": it must be a number",
            ),
            (
                "listen = \"here\"",
                "listen is \"here\": it must be an address and port such as 127.0.0.1:8080",
            ),
            (
                "auth.mode = \"none\"",
                "auth.mode is \"none\": it must be one of open, keys",
            ),
            (
                "worker.queues = \"fast\"",
                "worker.queues is \"fast\": it must be a list such as [\"a\", \"b\"]",
            ),
            ("worker = 3", "worker is 3: it must be a table of settings"),
            (
                "worker.concurency = 1",
                "worker.concurency is no setting: there are concurrency, queues, ",
            ),
            ("lissen = 1", "lissen is no setting: there are listen, "),
        ] {
            let error = load_from(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("settings: {told}")),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        for text in [
            "auth.admin_key = 12345678901234567",
            "database_url = 12345678901234567",
        ] {
            let error = load_from(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("123456"), "{shown}");
            assert!(shown.contains("it must be text"), "{shown}");
        }
    }

    #[test]
    fn a_setting_goes_by_the_name_under_which_it_was_set() {
        let sources = Sources {
            variables: vec!["COATCHECK_WORKER__LEASE_S".into(), "REDIS_URL".into()],
            file: Some("my.toml".into()),
        };
        let name = |key: &str| {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            sources.name_of(&path)
        };
        assert_eq!(name("worker.lease_s"), "COATCHECK_WORKER__LEASE_S");
        assert_eq!(name("redis_url"), "REDIS_URL");
        assert_eq!(name("worker.grace_s"), "worker.grace_s in my.toml");
    }
}
