//! What makes readable settings wrong.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{MOST_BODY_BYTES, Settings, SettingsError};

/// Shorter keys can be guessed.
const SHORTEST_ADMIN_KEY: usize = 16;

impl Settings {
    /// Refuses values out of range and settings that contradict one another, all at once.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let mut wrong = Vec::new();
        self.check_ranges(&mut wrong);
        self.check_addresses(&mut wrong);
        self.check_auth(&mut wrong);
        self.check_origins(&mut wrong);
        self.check_commands(&mut wrong);
        self.check_traces(&mut wrong);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(SettingsError::Wrong(wrong))
        }
    }

    fn check_ranges(&self, wrong: &mut Vec<String>) {
        let mut range = |name: &str, value: f64, least: f64, most: f64| {
            if !(least..=most).contains(&value) {
                wrong.push(format!("{name} is {value}, it goes from {least} to {most}"));
            }
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with small bounds only"
        )]
        let number = |value: usize| value as f64;
        range(
            "jobs.max_attempts",
            f64::from(self.jobs.max_attempts),
            1.0,
            1_000.0,
        );
        range(
            "jobs.backoff.base_s",
            self.jobs.backoff.base_s,
            0.001,
            86_400.0,
        );
        range(
            "jobs.backoff.cap_s",
            self.jobs.backoff.cap_s,
            self.jobs.backoff.base_s,
            86_400.0,
        );
        range(
            "worker.concurrency",
            number(self.worker.concurrency),
            1.0,
            1_000_000.0,
        );
        range(
            "worker.lease_s",
            self.worker.lease().as_secs_f64(),
            1.0,
            3_600.0,
        );
        range(
            "worker.grace_s",
            self.worker.grace().as_secs_f64(),
            0.0,
            86_400.0,
        );
        range(
            "worker.cancel_grace_s",
            self.worker.cancel_grace().as_secs_f64(),
            0.0,
            3_600.0,
        );
        range("keepers.sweep_s", self.keepers.sweep_s, 0.05, 60.0);
        range(
            "keepers.hint_grace_s",
            self.keepers.hint_grace_s,
            0.1,
            600.0,
        );
        range(
            "store.connections",
            f64::from(self.store.connections),
            2.0,
            1_000.0,
        );
        range("store.deadline_s", self.store.deadline_s, 0.1, 60.0);
        range("store.committers", number(self.store.committers), 1.0, 64.0);
        range(
            "store.largest_group",
            number(self.store.largest_group),
            1.0,
            1_000.0,
        );
        range("redis.deadline_s", self.redis.deadline_s, 0.1, 60.0);
        range("traces.sample_ratio", self.traces.sample_ratio, 0.0, 1.0);
        range("traces.queue", number(self.traces.queue), 1.0, 1_000_000.0);
        range("traces.deadline_s", self.traces.deadline_s, 0.1, 60.0);
        range(
            "limits.body_bytes",
            number(self.limits.body_bytes),
            1_024.0,
            number(MOST_BODY_BYTES),
        );
        range(
            "limits.idle_s",
            Duration::from_secs(self.limits.idle_s).as_secs_f64(),
            1.0,
            3_600.0,
        );
        range(
            "limits.stalled_s",
            Duration::from_secs(self.limits.stalled_s).as_secs_f64(),
            1.0,
            3_600.0,
        );
        range(
            "limits.connections",
            number(self.limits.connections),
            1.0,
            1_000_000.0,
        );
        range(
            "limits.queue_depth",
            f64::from(self.limits.queue_depth),
            1.0,
            f64::from(u32::MAX),
        );
        range("limits.last_call_s", self.limits.last_call_s, 0.0, 60.0);
        range(
            "limits.rate_per_s",
            self.limits.rate_per_s,
            0.0,
            1_000_000.0,
        );
        range(
            "limits.rate_burst",
            f64::from(self.limits.rate_burst),
            0.0,
            1_000_000.0,
        );
    }

    fn check_addresses(&self, wrong: &mut Vec<String>) {
        if let Some(url) = &self.database_url {
            let scheme = url.expose_secret().split(':').next().unwrap_or_default();
            if !["postgres", "postgresql", "sqlite"].contains(&scheme) {
                wrong.push(format!(
                    "DATABASE_URL (database_url) begins with {scheme:?}, it must be \
                     postgres://… or sqlite://…"
                ));
            }
        }
        if let Some(url) = &self.redis_url {
            let scheme = url.expose_secret().split(':').next().unwrap_or_default();
            if !["redis", "rediss"].contains(&scheme) {
                wrong.push(format!(
                    "REDIS_URL (redis_url) begins with {scheme:?}, it must be redis://… or rediss://…"
                ));
            }
        }
        let prefix = &self.redis.prefix;
        if prefix.is_empty() || prefix.contains(['{', '}', ' ']) || prefix.len() > 64 {
            wrong.push(format!(
                "redis.prefix is {prefix:?}, it must be 1 to 64 characters without braces and spaces"
            ));
        }
    }

    fn check_auth(&self, wrong: &mut Vec<String>) {
        let key = self.auth.admin_key.as_ref();
        if key.is_some_and(|key| key.expose_secret().len() < SHORTEST_ADMIN_KEY) {
            wrong.push(format!(
                "auth.admin_key is too short, it must be at least {SHORTEST_ADMIN_KEY} characters"
            ));
        }
    }

    fn check_origins(&self, wrong: &mut Vec<String>) {
        for origin in &self.cors.origins {
            let sent = as_browsers_send_it(origin);
            let right = sent.as_deref().unwrap_or("https://app.example.com");
            if origin != "*" && sent.as_ref() != Some(origin) {
                wrong.push(format!(
                    "cors.origins holds {origin:?}, it must be \"*\" or an origin as browsers \
                     send it, such as {right:?}"
                ));
            }
        }
    }

    fn check_traces(&self, wrong: &mut Vec<String>) {
        let endpoint = self
            .traces
            .endpoint
            .as_ref()
            .map(ExposeSecret::expose_secret);
        if endpoint.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            wrong.push(
                "OTEL_EXPORTER_OTLP_ENDPOINT (traces.endpoint) must be http://… or https://…, \
                 the collector's address for OTLP over HTTP"
                    .to_owned(),
            );
        }
    }

    fn check_commands(&self, wrong: &mut Vec<String>) {
        for (name, command) in &self.commands {
            if !command.program.is_absolute() {
                wrong.push(format!(
                    "commands.{name}.program is {:?}, it must be an absolute path",
                    command.program
                ));
            }
        }
    }
}

/// The origin of a web page: in lower case, without the port where it is the scheme's own, and
/// without a path.
fn as_browsers_send_it(origin: &str) -> Option<String> {
    let url = url::Url::parse(origin).ok()?;
    ["http", "https"]
        .contains(&url.scheme())
        .then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use crate::settings::{AuthMode, load_from};

    #[test]
    fn every_wrong_setting_is_named_with_what_would_be_right() {
        let error = load_from(
            "auth.admin_key = \"short\"\n\
             database_url = \"mysql://x\"\n\
             worker.lease_s = 0\n\
             store.committers = 0\n\
             limits.queue_depth = 0\n\
             limits.rate_per_s = -1\n\
             limits.last_call_s = 61\n\
             cors.origins = [\"https://a.example/\"]\n\
             traces.sample_ratio = 2\n\
             traces.endpoint = \"collector:4318\"\n\
             commands.x.program = \"ls\"",
        )
        .unwrap_err()
        .to_string();
        for part in [
            "auth.admin_key is too short, it must be at least 16",
            "postgres://",
            "worker.lease_s is 0, it goes from 1 to 3600",
            "store.committers",
            "limits.queue_depth is 0",
            "limits.rate_per_s is -1, it goes from 0",
            "limits.last_call_s is 61, it goes from 0 to 60",
            "cors.origins holds \"https://a.example/\"",
            "traces.sample_ratio is 2, it goes from 0 to 1",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "commands.x.program",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn an_origin_is_as_browsers_send_it() {
        for (wrong, right) in [
            ("https://x:443", "https://x"),
            ("http://x:80", "http://x"),
            ("https://X.example", "https://x.example"),
            ("https://x/", "https://x"),
            ("https://[::0:1]:8080", "https://[::1]:8080"),
            ("https://x:port", "https://app.example.com"),
            ("ftp://x", "https://app.example.com"),
            ("x.example", "https://app.example.com"),
        ] {
            let error = load_from(&format!("cors.origins = [{wrong:?}]")).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(&format!("such as {right:?}")), "{error}");
        }
        for right in ["*", "https://x", "http://x:443", "http://localhost:5173"] {
            load_from(&format!("cors.origins = [{right:?}]")).unwrap();
        }
    }

    #[test]
    fn no_body_may_be_larger_than_all_together() {
        load_from("limits.body_bytes = 268435456").unwrap();
        let error = load_from("limits.body_bytes = 268435457").unwrap_err();
        let right = "limits.body_bytes is 268435457, it goes from 1024 to 268435456";
        assert!(error.to_string().contains(right), "{error}");
    }

    #[test]
    fn another_address_than_loopback_starts_without_a_first_key_and_lets_nobody_in() {
        let settings = load_from("listen = \"0.0.0.0:80\"").unwrap();
        assert_eq!(settings.auth_mode(), AuthMode::Keys);
    }

    #[test]
    fn a_wrong_address_does_not_show_its_password() {
        let error = load_from("database_url = \"mysql://me:secret@x\"").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
