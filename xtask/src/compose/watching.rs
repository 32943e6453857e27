//! Whether the files of the profile `observability` fit the product. Their images are not run: what
//! they say is checked by the tools that are there.

use std::{path::Path, process::Command};

use coatcheck_tests::promtool;

use super::{
    commands::output_of,
    stack::{FIRST, Stack},
};
use crate::{Result, setup, workspace::metadata};

/// Checks the compose file with the profile, what Prometheus is told, and the alert rules.
pub(super) fn check(stack: &Stack, root: &Path) -> Result<()> {
    let arguments = ["--profile", "observability", "config", "--quiet"];
    output_of(&mut stack.compose(FIRST, &arguments))?;
    let target = metadata()?.target_directory;
    setup::promtool(&target)?;
    let promtool = promtool::find_beside(&target)?;
    for arguments in [
        ["check", "config", "--syntax-only", "prometheus.yml"].as_slice(),
        &["check", "rules", "alerts.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let folder = root.join("packaging/observability");
        output_of(Command::new(&promtool).args(arguments).current_dir(folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    /// Every metric that the product exports; a test of the product's own keeps it true.
    const METRICS: &str = include_str!("../../../METRICS.md");
    const RULES: &str = include_str!("../../../packaging/observability/alerts.yml");
    const RULE_TESTS: &str = include_str!("../../../packaging/observability/alerts_test.yml");
    const DASHBOARD: &str = include_str!("../../../packaging/observability/grafana/coatcheck.json");

    /// The names in a text that are metrics of the product or of its processes.
    fn names(text: &str) -> BTreeSet<&str> {
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .filter(|word| word.starts_with("coatcheck_") || word.starts_with("process_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect()
    }

    #[test]
    fn only_metrics_that_the_product_exports_are_asked_for() {
        let rows = METRICS.lines().filter_map(|line| line.strip_prefix("| `"));
        let exported: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        for text in [RULES, RULE_TESTS, DASHBOARD] {
            let asked = names(text);
            assert!(asked.len() > 5, "{asked:?}");
            let unknown: Vec<_> = asked.difference(&exported).collect();
            assert!(unknown.is_empty(), "{unknown:?} of {exported:?}");
        }
    }

    #[test]
    fn every_panel_of_the_dashboard_asks_something() {
        let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let mut ids = BTreeSet::new();
        for panel in panels {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
            let asks = panel["targets"].as_array().is_some_and(|targets| {
                !targets.is_empty() && targets.iter().all(|target| target["expr"].is_string())
            });
            assert!(asks || panel["type"] == "row", "{panel}");
        }
    }
}
