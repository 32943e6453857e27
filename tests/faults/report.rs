//! What all rounds have shown, in one table.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::{
    fault::Fault,
    oracle::Promise,
    round::{COUNTED, Outcome},
};

/// How many violations of one round are printed.
const MOST_PRINTED: usize = 10;

/// A round in a line, and its violations below with the way to repeat it.
pub(crate) fn line(outcome: &Outcome) -> String {
    let mut text = format!(
        "{:<20} seed {:<12} {:>4} jobs {:>4} executions  recovery {:>6} ms  all ended {:>6} ms",
        outcome.fault.name(),
        outcome.seed,
        outcome.jobs,
        outcome.executions,
        longest(&outcome.recovery).as_millis(),
        outcome.drained.as_millis(),
    );
    for violation in outcome.violations.iter().take(MOST_PRINTED) {
        write!(text, "\n   VIOLATION {violation}").ok();
    }
    if outcome.violations.len() > MOST_PRINTED {
        let more = outcome.violations.len() - MOST_PRINTED;
        write!(text, "\n   and {more} more").ok();
    }
    if !outcome.violations.is_empty() {
        let (seed, fault) = (outcome.seed, outcome.fault.name());
        write!(
            text,
            "\n   repeat it: cargo xtask faults --rounds 1 --seed {seed} --only {fault}"
        )
        .ok();
    }
    text
}

fn longest(times: &[Duration]) -> Duration {
    times.iter().copied().max().unwrap_or_default()
}

/// The table.
pub(crate) fn table(seed: u64, outcomes: &[Outcome]) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>().to_string();
    rows.push(("rounds".into(), outcomes.len().to_string()));
    rows.push(("jobs".into(), sum(|outcome| outcome.jobs)));
    rows.push(("executions".into(), sum(|outcome| outcome.executions)));
    rows.push(("requests".into(), sum(|outcome| outcome.requests)));
    for promise in Promise::ALL {
        let broken = outcomes
            .iter()
            .flat_map(|outcome| &outcome.violations)
            .filter(|violation| violation.promise == promise)
            .count();
        rows.push((promise.title().into(), broken.to_string()));
    }
    for (name, _) in COUNTED {
        let count: f64 = outcomes
            .iter()
            .filter_map(|outcome| outcome.counted.get(name))
            .sum();
        rows.push((name.into(), format!("{count:.0}")));
    }
    let recovery = outcomes.iter().flat_map(|outcome| outcome.recovery.clone());
    rows.push(("recovery, p50 / p99 / max, ms".into(), quantiles(recovery)));
    let drained = outcomes.iter().map(|outcome| outcome.drained);
    rows.push((
        "until every job had ended, p50 / p99 / max, ms".into(),
        quantiles(drained),
    ));
    let mut text = format!("seed {seed}\n");
    for (name, value) in rows {
        writeln!(text, "{name:<56} {value:>20}").ok();
    }
    text.push_str(&by_fault(outcomes));
    text
}

fn by_fault(outcomes: &[Outcome]) -> String {
    let mut faults: BTreeMap<Fault, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        faults.entry(outcome.fault).or_default().push(outcome);
    }
    let mut text = format!(
        "\n{:<22}{:>8}{:>8}{:>12}{:>12}{:>26}\n",
        "fault", "rounds", "jobs", "executions", "violations", "recovery p50/p99/max, ms"
    );
    for (fault, outcomes) in faults {
        let sum =
            |of: fn(&Outcome) -> usize| outcomes.iter().map(|outcome| of(outcome)).sum::<usize>();
        let recovery = outcomes.iter().flat_map(|outcome| outcome.recovery.clone());
        writeln!(
            text,
            "{:<22}{:>8}{:>8}{:>12}{:>12}{:>26}",
            fault.name(),
            outcomes.len(),
            sum(|outcome| outcome.jobs),
            sum(|outcome| outcome.executions),
            sum(|outcome| outcome.violations.len()),
            quantiles(recovery),
        )
        .ok();
    }
    text
}

/// The median, the 99th percentile and the longest, in milliseconds.
pub(crate) fn quantiles(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<u128> = times.map(|time| time.as_millis()).collect();
    times.sort_unstable();
    let at = |hundredths: usize| {
        let index = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
        times.get(index).copied().unwrap_or_default()
    };
    format!("{} / {} / {}", at(50), at(99), at(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let times = |count: u64| (1..=count).map(Duration::from_millis);
        assert_eq!(quantiles(times(0)), "0 / 0 / 0");
        assert_eq!(quantiles(times(1)), "1 / 1 / 1");
        assert_eq!(quantiles(times(200)), "100 / 198 / 200");
    }
}
