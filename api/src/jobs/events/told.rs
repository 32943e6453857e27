//! What a client has been told of a job: the `id` of an event.

use std::fmt;

use actix_web::HttpRequest;
use coatcheck_shared::job::{Job, Progress, State};
use sha2::{Digest, Sha256};

/// Everything that a client knows of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The attempt and the state; none where it has not been told one yet.
    pub(super) state: Option<(u32, State)>,
    /// How many lines of the log.
    pub(super) lines: u64,
    /// The mark of the progress, 0 for none.
    pub(super) progress: u32,
}

impl Told {
    /// Whether the job has ended and nothing is left to tell of it.
    pub(super) fn is_all_of(&self, job: &Job) -> bool {
        let (attempt, state) = (job.lifecycle.attempt, job.lifecycle.state);
        state.is_terminal() && self.state == Some((attempt, state))
    }

    /// What an `id` says; none where it is none of ours.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let attempt = parts.next()?.parse().ok()?;
        let state = match parts.next()? {
            "-" => None,
            name => Some((attempt, name.parse::<State>().ok()?)),
        };
        let lines: u32 = parts.next()?.parse().ok()?;
        let progress = u32::from_str_radix(parts.next()?, 16).ok()?;
        parts.next().is_none().then_some(Self {
            state,
            lines: lines.into(),
            progress,
        })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (attempt, state) = self
            .state
            .map_or((0, "-"), |(attempt, state)| (attempt, state.as_str()));
        let (lines, progress) = (self.lines, self.progress);
        write!(formatter, "{attempt}.{state}.{lines}.{progress:x}")
    }
}

/// What a client that comes back has been told; none where it comes for the first time, or shows
/// what no event had.
pub(super) fn last_event(request: &HttpRequest) -> Option<Told> {
    let field = request.headers().get("last-event-id")?;
    Told::parse(field.to_str().ok()?.trim())
}

/// What tells one progress from the next: 32 bits of its hash.
pub(super) fn mark_of(progress: Option<&Progress>) -> u32 {
    let Some(progress) = progress else { return 0 };
    let mut hash = Sha256::new();
    hash.update(progress.percent.to_be_bytes());
    hash.update(progress.message.as_deref().unwrap_or_default());
    let hash = hash.finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_everything_and_nothing_else_is_one() {
        for told in [
            Told::default(),
            Told {
                state: Some((3, State::Running)),
                lines: 1_204,
                progress: mark_of(Some(&Progress {
                    percent: 12.5,
                    message: Some("half an eighth".to_owned()),
                })),
            },
        ] {
            assert_eq!(Told::parse(&told.to_string()), Some(told));
        }
        for other in [
            "",
            "7",
            "1.running.0",
            "1.walking.0.0",
            "-1.running.0.0",
            "1.running.99999999999.0",
            "1.running.0.x",
            "1.running.0.0.0",
        ] {
            assert_eq!(Told::parse(other), None, "{other}");
        }
    }
}
