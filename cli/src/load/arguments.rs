//! What `coatcheck load` takes.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{plan::Plan, scenario, wishes::Wishes};

/// The arguments of a load test.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  coatcheck load --connections 64 --duration 30s
  coatcheck load --rate 1000 --duration 1m --payload '{\"ms\": 10}'
  coatcheck load --jobs 100000 --wait none --drain
  coatcheck load --stage 30s:200 --stage 1m:1000 --stage 30s:0 --html load.html
  coatcheck load --mix 'sleep=3:{\"ms\": 10}' --mix http=1:@request.json --rate 50
  coatcheck load --rate 200 --fail-if 'p99>2s' --fail-if 'error_rate>1%'
  coatcheck load --scenario nightly.toml --json

A scenario file:
  rate = 50                     # the names are those of the options
  stages = [\"30s:200\", \"1m:200\", \"30s:0\"]
  wait = \"events\"
  fail_if = [\"p99>2s\", \"lost>0\"]
  [[job]]
  kind = \"sleep\"
  weight = 3
  payload = { ms = 10 }
  [[job]]
  name = \"webhook\"              # for the report and for --fail-if
  kind = \"http\"
  payload = \"@request.json\"

Exit status:
  0  all went well
  1  there were errors, or jobs that failed, and no --fail-if is about those
  2  wrong usage
  7  a --fail-if holds, or nothing was measured that could tell")]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    wishes: Wishes,
    /// The key to call with, where the API wants one.
    #[arg(
        long,
        value_name = "KEY",
        env = "COATCHECK_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    /// Read what is not said here from a TOML file.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,

    /// Write a page with charts, which opens without any other file.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
    /// Print the report as one JSON object.
    #[arg(long, help_heading = "Report")]
    json: bool,
}

impl LoadArguments {
    /// Whether the report is for programs.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Where the page goes, if there is to be one.
    pub(crate) fn html(&self) -> Option<&Path> {
        self.html.as_deref()
    }

    /// What is to be done, if it can be.
    ///
    /// # Errors
    /// With one line on what is wrong.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        let mut wishes = self.wishes.clone();
        if let Some(path) = &self.scenario {
            wishes = wishes.over(scenario::read(path)?);
        }
        // A variable that is passed on unset is empty.
        wishes.plan(self.key.as_deref().filter(|key| !key.is_empty()))
    }
}

#[cfg(test)]
mod tests;
