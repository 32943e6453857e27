//! Names that appear in URLs, settings, Redis keys and metrics, and are therefore restricted.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const LONGEST: usize = 64;

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of a {of}: 1 to 64 of a-z, 0-9, '_', '.', '-' are")]
pub struct InvalidName {
    of: &'static str,
    text: String,
}

macro_rules! name {
    ($(#[$documentation:meta])* $type:ident, $of:literal) => {
        $(#[$documentation])*
        ///
        /// 1 to 64 characters of `a-z`, `0-9`, `_`, `.`, `-`. Cheap to clone.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
        #[schemars(inline)]
        pub struct $type(#[schemars(regex(pattern = r"^[a-z0-9_.-]{1,64}$"))] Arc<str>);

        impl $type {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    let text = text.chars().take(LONGEST + 1).collect();
                    Err(InvalidName { of: $of, text })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name!(
    /// What is to be done: the name under which a handler is registered.
    KindName,
    "kind"
);
name!(
    /// Where a job waits. A queue is made on first use.
    QueueName,
    "queue"
);
name!(
    /// Whose a job is. Tenants see nothing of one another.
    Tenant,
    "tenant"
);

impl Default for QueueName {
    /// The queue of a submission that names none.
    fn default() -> Self {
        Self("default".into())
    }
}

impl Default for Tenant {
    /// The tenant of a caller without a key.
    fn default() -> Self {
        Self("default".into())
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_restricted_in_length_and_letters() {
        for good in ["a", "send-mail_2.eu", &"x".repeat(64)] {
            assert!(good.parse::<QueueName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "a b", "ä", "a/b", "{a}", "a:b", &"x".repeat(65)] {
            assert!(bad.parse::<QueueName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_an_endless_text() {
        let error = "A".repeat(1_000_000).parse::<KindName>().unwrap_err();
        assert!(error.to_string().len() < 200);
    }
}
