//! Whether this process may open as many files as it may need: every connection is one.

use coatcheck_shared::settings::Settings;
use nix::sys::resource::{Resource, getrlimit};

use super::finding::{Finding, Findings};

/// What a process opens beside its callers' connections and the database's: files of logs and
/// libraries, sockets that listen, connections to Redis, event queues.
const OTHERS: u64 = 64;

pub(super) fn check(settings: &Settings, findings: &mut Findings) {
    findings.add(match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, most)) => judge(most, needed(settings)),
        Err(error) => Finding::warn("open files", format!("the limit cannot be read: {error}")),
    });
}

fn needed(settings: &Settings) -> u64 {
    let callers = u64::try_from(settings.limits.connections).unwrap_or(u64::MAX);
    let store = u64::from(settings.store.connections);
    callers.saturating_add(store).saturating_add(OTHERS)
}

fn judge(most: u64, needed: u64) -> Finding {
    if most >= needed {
        return Finding::ok(
            "open files",
            format!("up to {most}, {needed} may be needed"),
        );
    }
    Finding::warn(
        "open files",
        format!(
            "up to {most}, but limits.connections needs {needed}: raise the limit (`ulimit -Hn`, \
             LimitNOFILE of systemd, ulimits of compose) or lower limits.connections"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Status;

    #[test]
    fn too_low_a_limit_is_told_with_what_would_do() {
        assert_eq!(judge(1_024, 1_024).status, Status::Ok);
        let finding = judge(1_023, 1_024);
        assert_eq!(finding.status, Status::Warn);
        assert!(finding.message.contains("needs 1024"), "{finding:?}");
    }
}
