//! What is submitted: jobs of one kind, or of several in fixed proportions.

use std::str::FromStr;

use bytes::Bytes;
use coatcheck_shared::job::{KindName, QueueName};

/// More kinds of job in one run than this would be told apart by nobody.
const MOST: usize = 20;
/// The largest share of a job in a mix.
const LARGEST_WEIGHT: u32 = 1_000_000;

/// How a part of a mix is written.
const FORM: &str = "a part of a mix is KIND=WEIGHT or KIND=WEIGHT:PAYLOAD, like \
                    'sleep=3:{\"ms\": 10}' or http=1:@request.json";

/// One kind of job, as it is wished for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    /// What the report calls it; its kind, where that is not said.
    pub(crate) name: Option<String>,
    pub(crate) kind: KindName,
    pub(crate) weight: u32,
    pub(crate) payload: Option<serde_json::Value>,
    pub(crate) queue: Option<QueueName>,
    pub(crate) priority: Option<String>,
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text
            .split_once('=')
            .ok_or_else(|| format!("it has no weight: {FORM}"))?;
        let (weight, payload) = match rest.split_once(':') {
            Some((weight, payload)) => (weight, Some(read_payload("the payload", payload)?)),
            None => (rest, None),
        };
        let kind = kind.trim();
        Ok(Self {
            name: None,
            kind: kind
                .parse()
                .map_err(|error| format!("{kind:?} is no kind: {error}; {FORM}"))?,
            weight: weight
                .trim()
                .parse()
                .map_err(|_| format!("{weight:?} is no weight, which is a whole number: {FORM}"))?,
            payload,
            queue: None,
            priority: None,
        })
    }
}

/// Reads a payload, or the file that it names after an `@`; `what` is what an error calls it.
pub(crate) fn read_payload(what: &str, argument: &str) -> Result<serde_json::Value, String> {
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("{what}: {path} cannot be read: {error}"))?,
        None => argument.to_owned(),
    };
    serde_json::from_str(&text)
        .map_err(|error| format!("{what} is not JSON: {error}; it is JSON, or @ and a file of it"))
}

/// One kind of job, ready to be submitted.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) weight: u32,
    /// The body of its submissions.
    pub(crate) submission: Bytes,
}

/// All kinds of job of a run; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) parts: Vec<Part>,
}

impl Mix {
    /// What is wished for, with names that tell each from the others.
    ///
    /// # Errors
    /// With one line on what is wrong.
    pub(crate) fn of(wishes: &[Wish]) -> Result<Self, String> {
        if wishes.len() > MOST {
            return Err(format!(
                "there are {} kinds of job in the mix, at most {MOST} can be told apart",
                wishes.len()
            ));
        }
        let mut parts: Vec<Part> = Vec::with_capacity(wishes.len());
        for wish in wishes {
            let wanted = wish.name.as_deref().unwrap_or(wish.kind.as_str());
            let is_taken = |name: &str| parts.iter().any(|part| part.name == name);
            if wish.name.is_some() && is_taken(wanted) {
                return Err(format!("two jobs of the mix have the name {wanted:?}"));
            }
            let numbered = (2..).map(|number| format!("{wanted}-{number}"));
            let name = std::iter::once(wanted.to_owned())
                .chain(numbered)
                .find(|name| !is_taken(name));
            parts.push(Part::of(wish, name.unwrap_or_default())?);
        }
        Ok(Self { parts })
    }

    /// The kinds, for a title.
    pub(crate) fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for part in &self.parts {
            if !kinds.contains(&part.kind.as_str()) {
                kinds.push(&part.kind);
            }
        }
        kinds.join(", ")
    }
}

impl Part {
    fn of(wish: &Wish, name: String) -> Result<Self, String> {
        let kind = wish.kind.as_str();
        if !(1..=LARGEST_WEIGHT).contains(&wish.weight) {
            return Err(format!(
                "the weight of {name} is {}, it must be from 1 to {LARGEST_WEIGHT}",
                wish.weight
            ));
        }
        let payload = match (&wish.payload, kind) {
            (Some(payload), _) => payload.clone(),
            (None, "sleep") => serde_json::json!({ "ms": 0 }),
            (None, kind) => return Err(format!("a job of kind {kind} needs a payload")),
        };
        let mut submission = serde_json::json!({ "kind": kind, "payload": payload });
        if let Some(queue) = &wish.queue {
            submission["queue"] = queue.as_str().into();
        }
        if let Some(priority) = &wish.priority {
            submission["priority"] = priority.as_str().into();
        }
        Ok(Self {
            name,
            kind: kind.to_owned(),
            weight: wish.weight,
            submission: submission.to_string().into(),
        })
    }
}

/// Whose turn it is: each part as often as its weight says, and spread as evenly as can be.
#[derive(Debug)]
pub(crate) struct Rotation {
    weights: Vec<i64>,
    credit: Vec<i64>,
}

impl Rotation {
    pub(crate) fn new(mix: &Mix) -> Self {
        let weights: Vec<i64> = mix.parts.iter().map(|part| part.weight.into()).collect();
        Self {
            credit: vec![0; weights.len()],
            weights,
        }
    }

    /// The number of the next part.
    pub(crate) fn next(&mut self) -> usize {
        if self.weights.len() == 1 {
            return 0;
        }
        for (credit, weight) in self.credit.iter_mut().zip(&self.weights) {
            *credit += weight;
        }
        let richest = (0..self.credit.len())
            .rev()
            .max_by_key(|part| self.credit[*part]);
        let richest = richest.unwrap_or(0);
        self.credit[richest] -= self.weights.iter().sum::<i64>();
        richest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(texts: &[&str]) -> Result<Mix, String> {
        let wishes: Result<Vec<Wish>, String> = texts.iter().map(|text| text.parse()).collect();
        Mix::of(&wishes?)
    }

    #[test]
    fn a_part_is_a_kind_a_weight_and_a_payload() {
        let mix = mix(&[
            r#"sleep=3:{"ms": 10}"#,
            "sleep=1",
            r#"http=2:{"url": "http://x:1/"}"#,
        ]);
        let mix = mix.unwrap();
        let names: Vec<_> = mix.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["sleep", "sleep-2", "http"]);
        assert_eq!(mix.kinds(), "sleep, http");
        assert_eq!(
            mix.parts[0].submission,
            r#"{"kind":"sleep","payload":{"ms":10}}"#
        );
        assert_eq!(
            mix.parts[2].submission,
            r#"{"kind":"http","payload":{"url":"http://x:1/"}}"#
        );
    }

    #[test]
    fn a_wrong_part_is_told_what_is_wrong_and_what_would_be_right() {
        for (text, reason) in [
            ("sleep", "it has no weight"),
            ("sleep=", "\"\" is no weight"),
            ("sleep=some", "\"some\" is no weight"),
            ("sleep=-1", "\"-1\" is no weight"),
            ("sleep=0", "the weight of sleep is 0"),
            ("sleep=1:{", "the payload is not JSON"),
            ("sleep=1:@/no/such", "/no/such cannot be read"),
            ("Sleep now=1", "\"Sleep now\" is no kind"),
            ("http=1", "kind http needs a payload"),
        ] {
            let error = mix(&[text]).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(mix(&["sleep=1"; 21]).unwrap_err().contains("at most 20"));
    }

    #[test]
    fn turns_are_as_the_weights_and_spread_evenly() {
        let mut rotation = Rotation::new(&mix(&["sleep=3", "sleep=1", "sleep=2"]).unwrap());
        let turns: Vec<_> = (0..600).map(|_| rotation.next()).collect();
        for (part, share) in [300, 100, 200].into_iter().enumerate() {
            assert_eq!(turns.iter().filter(|turn| **turn == part).count(), share);
        }
        for six in turns.chunks(6) {
            assert_eq!(six.iter().filter(|turn| **turn == 1).count(), 1);
        }
    }
}
