//! Whether Redis is fit to hold hints.

use coatcheck_shared::{
    backend,
    queue::{QueueError, redis::RedisFacts},
    settings::Settings,
};

use super::finding::{Finding, Findings};

/// The oldest version that has BLMPOP.
const OLDEST: (u32, u32) = (7, 0);

pub(super) async fn check(settings: &Settings, findings: &mut Findings) {
    match backend::redis_facts(settings).await {
        None => findings.add(Finding::ok(
            "redis",
            "none is named: the queue is in the process, and so is everything else",
        )),
        Some(Ok(facts)) => judge(&facts, findings),
        Some(Err(error)) => findings.add(unreachable(&error)),
    }
}

fn unreachable(error: &QueueError) -> Finding {
    Finding::fail(
        "redis",
        format!("{error}; REDIS_URL must name a Redis 7.0 or newer that is running"),
    )
}

fn judge(facts: &RedisFacts, findings: &mut Findings) {
    findings.add(version(&facts.version));
    if facts.is_replica {
        findings.add(Finding::fail(
            "redis role",
            "it is a replica, which takes no writes: REDIS_URL must name the primary",
        ));
    }
    findings.add(match facts.maxmemory_policy.as_deref() {
        Some("noeviction") => Finding::ok("redis memory", "nothing is thrown away (noeviction)"),
        Some(policy) => Finding::warn(
            "redis memory",
            format!(
                "maxmemory-policy is {policy}: when its memory is full, hints are thrown away, and \
                 their jobs wait until the dispatcher finds them; it should be noeviction"
            ),
        ),
        None => Finding::warn("redis memory", "it does not tell its maxmemory-policy"),
    });
    findings.add(if facts.appends {
        Finding::ok(
            "redis persistence",
            "appendonly is on: a restart keeps the queue",
        )
    } else {
        Finding::ok(
            "redis persistence",
            "appendonly is off: after a restart hints are found again from the database, which \
             takes some seconds; no job is lost",
        )
    });
}

fn version(version: &str) -> Finding {
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= OLDEST {
        Finding::ok("redis", format!("Redis {version} answers"))
    } else {
        Finding::fail(
            "redis",
            format!("Redis {version} is too old: it must be 7.0 or newer"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Status;

    #[test]
    fn versions_without_blmpop_are_refused() {
        for (text, expected) in [
            ("7.0.15", Status::Ok),
            ("8.2", Status::Ok),
            ("10.0.0", Status::Ok),
            ("6.2.14", Status::Fail),
            ("", Status::Fail),
        ] {
            assert_eq!(version(text).status, expected, "{text}");
        }
    }

    #[test]
    fn a_replica_is_refused() {
        let facts = RedisFacts {
            version: "7.0.0".to_owned(),
            is_replica: true,
            maxmemory_policy: None,
            appends: true,
        };
        let mut findings = Findings::default();
        judge(&facts, &mut findings);
        assert_eq!(findings.status(), Status::Fail);
    }
}
