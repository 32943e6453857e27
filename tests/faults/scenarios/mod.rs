//! What is played once and by itself, in a world of its own.

mod away;
mod crowd;
mod held;
mod overload;

use std::{path::Path, time::Duration};

use clap::ValueEnum;
use coatcheck_tests::Result;

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Redis goes and comes back: nobody is refused, nothing has to be restarted.
    RedisAway,
    /// The database goes and comes back: refusals in time, and running jobs go on to their ends.
    DatabaseAway,
    /// More requests than a full queue, or a caller's rate, lets in: refused at once, and what was
    /// accepted stays.
    Overload,
    /// Twenty thousand jobs become due in one instant.
    Burst,
    /// A million jobs wait while a new one is submitted.
    Backlog,
}

/// What a scenario has shown.
#[derive(Default)]
pub(crate) struct Shown {
    /// What was measured.
    pub(crate) rows: Vec<(String, String)>,
    /// What was to be seen, and was not.
    pub(crate) unmet: Vec<String>,
}

impl Scenario {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Whether it is a part of the short run: it takes less than half a minute, and asks for no
    /// speed that a machine which does other things beside it has not.
    pub(crate) const fn is_quick(self) -> bool {
        matches!(self, Self::RedisAway | Self::DatabaseAway)
    }

    /// Plays it.
    pub(crate) async fn play(self, binary: &Path) -> Result<Shown> {
        match self {
            Self::RedisAway => away::redis(binary).await,
            Self::DatabaseAway => away::database(binary).await,
            Self::Overload => overload::play(binary).await,
            Self::Burst => crowd::burst(binary).await,
            Self::Backlog => crowd::backlog(binary).await,
        }
    }
}

fn ms(time: Duration) -> String {
    time.as_millis().to_string()
}
