//! `http`: calls a URL and keeps the answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KindPayload;

/// The request to make.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpPayload {
    /// The request's method.
    #[serde(default = "get")]
    #[schemars(regex(pattern = r"^[A-Za-z!#$%&'*+.^_`|~0-9-]{1,32}$"))]
    pub method: String,
    /// An absolute `http` or `https` URL.
    #[schemars(length(max = 8192), regex(pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://"))]
    pub url: String,
    /// Header fields of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a string is sent as it is, anything else as JSON.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
    /// How long to wait for the whole answer, in seconds.
    #[serde(default)]
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
