//! A scenario file: what does not fit on a command line.

use std::path::Path;

use coatcheck_shared::job::{KindName, QueueName};
use serde::Deserialize;

use super::{
    mix::{Wish, read_payload},
    wishes::{Priority, Wishes},
};

/// Reads a scenario.
///
/// # Errors
/// With one line on what is wrong, and where.
pub(super) fn read(path: &Path) -> Result<Wishes, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("--scenario: {shown} cannot be read: {error}"))?;
    let wishes: Wishes = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        format!("--scenario: {shown}, line {line}: {}", error.message())
    })?;
    Ok(wishes.beside(path.parent().unwrap_or(Path::new(""))))
}

/// A kind of job, as a scenario file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobOfFile {
    name: Option<String>,
    kind: KindName,
    #[serde(default = "one")]
    weight: u32,
    payload: Option<serde_json::Value>,
    queue: Option<QueueName>,
    priority: Option<Priority>,
}

const fn one() -> u32 {
    1
}

impl JobOfFile {
    /// Its payload's file is named as seen from this folder.
    pub(super) fn find_payload_in(&mut self, folder: &Path) {
        if let Some(serde_json::Value::String(text)) = &mut self.payload
            && let Some(path) = text.strip_prefix('@')
        {
            *text = format!("@{}", folder.join(path).display());
        }
    }

    /// As any other wish for jobs.
    ///
    /// # Errors
    /// With one line on what is wrong with its payload.
    pub(super) fn into_wish(self) -> Result<Wish, String> {
        let payload = match self.payload {
            Some(serde_json::Value::String(text)) if text.starts_with('@') => {
                Some(read_payload("the payload", &text)?)
            }
            payload => payload,
        };
        Ok(Wish {
            name: self.name,
            kind: self.kind,
            weight: self.weight,
            payload,
            queue: self.queue,
            priority: self.priority.map(|priority| priority.as_str().to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let wishes = read(file.path());
        wishes.and_then(|wishes| wishes.plan(None)).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("rate = 5\nspeed = 3", "line 2: unknown field `speed`"),
            ("rate = 5\nkey = \"x\"", "line 2: unknown field `key`"),
            ("rate = \"fast\"", "line 1: invalid type"),
            ("rate = -1", "--rate is -1"),
            ("connections = 0", "connections is 0"),
            ("jobs = 0", "jobs is 0"),
            ("\nduration = \"30\"", "line 2: \"30\": "),
            ("stages = [\"30s\"]", "a stage is TIME:N"),
            ("fail_if = [\"p99\"]", "a condition is a figure"),
            ("wait = \"forever\"", "unknown variant `forever`"),
            ("[[job]]\nkind = \"http\"", "kind http needs a payload"),
            (
                "[[job]]\nkind = \"sleep\"\nweight = 0",
                "weight of sleep is 0",
            ),
            ("[[job]]\nname = \"x\"", "missing field `kind`"),
            ("rate = ", "line 1: "),
        ] {
            let reason = reason(text);
            assert!(reason.contains(expected), "{text}: {reason}");
            assert!(!reason.contains('\n'), "{text}: {reason}");
        }
        let missing = read(Path::new("/no/such.toml")).unwrap_err();
        assert!(
            missing.contains("/no/such.toml cannot be read"),
            "{missing}"
        );
    }
}
