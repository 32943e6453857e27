//! What is shown while a job is waited for: a bar, where stderr is a terminal.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::job::Job;

/// Thousandths of a per cent would not show.
const LENGTH: u64 = 1_000;
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// A bar that is gone once the waiting is over.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(LENGTH), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {bar:30.cyan} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(REDRAW_EVERY);
        Self(Some(bar))
    }

    /// Whether anybody sees it.
    pub(super) const fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn show(&self, job: &Job) {
        let Some(bar) = &self.0 else { return };
        let mut message = job.state.to_string();
        if let Some(progress) = &job.progress {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to what a bar can show"
            )]
            bar.set_position((progress.percent.clamp(0.0, 100.0) * 10.0) as u64);
            message = format!("{message} {:.0} %", progress.percent);
            if let Some(text) = &progress.message {
                let text = text.replace(char::is_control, " ");
                message = format!("{message}: {text}");
            }
        }
        bar.set_message(message);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
