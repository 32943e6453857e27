//! `http`: calls a URL and keeps the answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KindPayload;

/// The request to make.
///
/// Any answer but 429 and 503 is the result, with its status and header fields: also a 404, a 500,
/// and a redirect, which is not followed. A 429 or 503 is retried, after its `Retry-After` (an hour
/// at most), and so is a call that brings no whole answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpPayload {
    /// The request's method; not CONNECT.
    #[serde(default = "get")]
    #[schemars(regex(pattern = r"^[A-Za-z!#$%&'*+.^_`|~0-9-]{1,32}$"))]
    pub method: String,
    /// An absolute `http` or `https` URL. Private addresses are refused unless the worker's
    /// settings allow them.
    #[schemars(length(max = 8192), regex(pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://"))]
    pub url: String,
    /// Header fields of the request. Those that belong to the connection cannot be set.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a string is sent as it is, anything else as JSON, with the content type
    /// `application/json` where `headers` has none.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
    /// How long to wait for the whole answer, in seconds; the worker's `http.timeout_s` where it
    /// is not said.
    #[serde(default, deserialize_with = "super::optional_integer")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_s: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

impl KindPayload for HttpPayload {
    const KIND: &'static str = "http";
    const DESCRIPTION: &'static str =
        "Calls a URL; the answer's bytes, status and header fields are the result.";
}
