//! Reading what is to happen at which point.

use std::{sync::atomic::AtomicU64, time::Duration};

use super::{VARIABLE, names};

/// What [`VARIABLE`] holds cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE} has {part:?}: {right}")]
pub struct WrongFailurePoints {
    part: String,
    right: &'static str,
}

/// What happens at the points of a pattern.
#[derive(Debug)]
pub(super) struct Rule {
    pattern: String,
    pub(super) action: Action,
    pub(super) trigger: Trigger,
    /// How many calls it has seen.
    pub(super) calls: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Crash,
    Panic,
    Error,
    Delay(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trigger {
    /// These calls, counted from 1.
    Calls { first: u64, last: u64 },
    /// Each with this probability.
    Chance(f64),
}

impl Rule {
    pub(super) fn is_about(&self, point: &str) -> bool {
        fits(&self.pattern, point)
    }
}

/// The rules, and the seed of their chances.
pub(super) fn read(text: &str) -> Result<(Vec<Rule>, Option<u64>), WrongFailurePoints> {
    let (mut rules, mut seed) = (Vec::new(), None);
    let parts = text.split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        let wrong = |right| WrongFailurePoints {
            part: part.to_owned(),
            right,
        };
        let (pattern, rest) = part
            .split_once('=')
            .ok_or_else(|| wrong("each part is POINT=ACTION[@WHEN]"))?;
        if pattern == "seed" {
            let number = rest.parse().map_err(|_| wrong("the seed is a number"))?;
            seed = Some(number);
            continue;
        }
        if !names().any(|name| fits(pattern, name)) {
            return Err(wrong(
                "there is no such point; `coatcheck failure-points` lists them",
            ));
        }
        let (action, trigger) = match rest.split_once('@') {
            Some((action, trigger)) => (action, Some(trigger)),
            None => (rest, None),
        };
        rules.push(Rule {
            pattern: pattern.to_owned(),
            action: read_action(action).ok_or_else(|| {
                wrong("the action is crash, panic, error or delay:TIME, as 500ms or 2s")
            })?,
            trigger: read_trigger(trigger)
                .ok_or_else(|| wrong("after the @ stands 3, 3-5, 3- or 10%"))?,
            calls: AtomicU64::new(0),
        });
    }
    Ok((rules, seed))
}

fn read_action(text: &str) -> Option<Action> {
    match text {
        "crash" => return Some(Action::Crash),
        "panic" => return Some(Action::Panic),
        "error" => return Some(Action::Error),
        _ => {}
    }
    let time = text.strip_prefix("delay:")?;
    let time = match time.strip_suffix("ms") {
        Some(milliseconds) => Duration::from_millis(milliseconds.parse().ok()?),
        None => Duration::from_secs(time.strip_suffix('s')?.parse().ok()?),
    };
    Some(Action::Delay(time))
}

fn read_trigger(text: Option<&str>) -> Option<Trigger> {
    let Some(text) = text else {
        return Some(Trigger::Calls {
            first: 1,
            last: u64::MAX,
        });
    };
    if let Some(percent) = text.strip_suffix('%') {
        let chance = percent.parse::<f64>().ok()? / 100.0;
        return (0.0..=1.0)
            .contains(&chance)
            .then_some(Trigger::Chance(chance));
    }
    let (first, last) = match text.split_once('-') {
        None => (text, text.parse().ok()?),
        Some((first, "")) => (first, u64::MAX),
        Some((first, last)) => (first, last.parse().ok()?),
    };
    let first = first.parse().ok()?;
    (1..=last)
        .contains(&first)
        .then_some(Trigger::Calls { first, last })
}

/// Whether a name is one of a pattern's, in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    name.strip_prefix(start).is_some_and(|left| {
        left.char_indices()
            .map(|(index, _)| index)
            .chain([left.len()])
            .any(|index| fits(rest, &left[index..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let every = Trigger::Calls {
            first: 1,
            last: u64::MAX,
        };
        for (text, action, trigger) in [
            ("store.insert.after=crash", Action::Crash, every),
            ("queue.*=error", Action::Error, every),
            ("store.kinds.before=panic", Action::Panic, every),
            (
                "run.before=crash@3",
                Action::Crash,
                Trigger::Calls { first: 3, last: 3 },
            ),
            (
                "*.after=error@2-4",
                Action::Error,
                Trigger::Calls { first: 2, last: 4 },
            ),
            (
                "queue.pop.after=delay:500ms@5-",
                Action::Delay(Duration::from_millis(500)),
                Trigger::Calls {
                    first: 5,
                    last: u64::MAX,
                },
            ),
            (
                "store.*.before=delay:2s@25%",
                Action::Delay(Duration::from_secs(2)),
                Trigger::Chance(0.25),
            ),
        ] {
            let (rules, seed) = read(text).unwrap();
            assert_eq!(rules.len(), 1, "{text}");
            assert_eq!((rules[0].action, rules[0].trigger), (action, trigger));
            assert_eq!(seed, None);
        }
        let (rules, seed) = read("seed=7, run.before=crash@1, run.after=error").unwrap();
        assert_eq!((rules.len(), seed), (2, Some(7)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            ("store.insert.after", "POINT=ACTION"),
            ("store.instert.after=crash", "no such point"),
            ("run.before=explode", "the action is"),
            ("run.before=delay:5", "the action is"),
            ("run.before=crash@0", "after the @"),
            ("run.before=crash@5-3", "after the @"),
            ("run.before=crash@200%", "after the @"),
            ("seed=x", "the seed"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
            assert!(error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("store.*.after", "store.insert.after"));
        assert!(fits("*", "run.before"));
        assert!(fits("queue.pop.*", "queue.pop.before"));
        assert!(!fits("store.*.after", "store.insert.before"));
        assert!(!fits("queue.*", "store.queues.before"));
    }
}
