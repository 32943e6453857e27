//! The server that a client calls, as the arguments name it.

use clap::Args;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::failure::{Failure, USAGE};

const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Where the server is, and who calls.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Server {
    /// Where the API is.
    #[arg(long, value_name = "URL", env = "COATCHECK_URL", default_value = DEFAULT_URL, value_parser = url)]
    pub(super) url: Url,
    /// The key to call with, where the API wants one. Better set in the variable: arguments show
    /// in the list of processes.
    #[arg(
        long,
        value_name = "KEY",
        env = "COATCHECK_KEY",
        hide_env_values = true
    )]
    key: Option<SecretString>,
}

impl Server {
    /// The `Authorization` field.
    ///
    /// # Errors
    /// Where the key cannot stand in one.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, Failure> {
        // A variable that is passed on unset is empty.
        let key = self.key.as_ref().map(|key| key.expose_secret().trim());
        key.filter(|key| !key.is_empty())
            .map(|key| {
                let mut value = HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| {
                    Failure::new(
                        USAGE,
                        "--key (COATCHECK_KEY) has characters that no key has",
                    )
                })?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()
    }
}

fn url(text: &str) -> Result<Url, String> {
    let text = if text.is_empty() { DEFAULT_URL } else { text };
    let right = "it must be http://HOST[:PORT] or https://HOST[:PORT]";
    let url: Url = text.parse().map_err(|error| format!("{error}: {right}"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(right.to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("it must end with the host, the port or a path".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        server: Server,
    }

    #[test]
    fn a_url_is_of_http_or_https() {
        for good in ["http://x", "https://x:1/prefix", "http://[::1]:80", ""] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in ["x:80", "ftp://x", "http://", "http://x?y", "http://me:pw@x"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_is_sent_and_never_shown() {
        let line = Line::parse_from(["x", "--key", "secret-key"]);
        assert!(!format!("{line:?}").contains("secret-key"));
        let value = line.server.authorization().unwrap().unwrap();
        assert_eq!(value, "Bearer secret-key");
        assert!(!format!("{value:?}").contains("secret-key"));
        assert!(
            Line::parse_from(["x", "--key", ""])
                .server
                .authorization()
                .unwrap()
                .is_none()
        );
        let bad = Line::parse_from(["x", "--key", "a\nb"]);
        assert_eq!(bad.server.authorization().unwrap_err().status(), USAGE);
    }
}
