//! Every header field of an answer, once.

use serde_json::{Value, json};
use utoipa::openapi::{
    extensions::Extensions,
    header::{Header, HeaderBuilder},
};

use super::schema::raw;

/// A header field of an answer.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(super) name: &'static str,
    says: &'static str,
    schema: fn() -> Value,
}

const fn text(name: &'static str, says: &'static str) -> Field {
    Field {
        name,
        says,
        schema: || json!({"type": "string"}),
    }
}

/// The id of the request.
pub(super) const X_REQUEST_ID: Field = Field {
    name: "X-Request-Id",
    says: "The request's id: the caller's own where it is sane, else a new one.",
    schema: || json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}),
};

const CACHE_CONTROL: Field = text(
    "Cache-Control",
    "`no-store`, or how to ask for the same again with the `ETag`.",
);

const DATE: Field = text("Date", "When it was answered.");

/// What every answer has.
pub(super) const EVERYWHERE: [Field; 3] = [X_REQUEST_ID, CACHE_CONTROL, DATE];

const RATE_LIMIT: Field = text(
    "RateLimit",
    "What is left of the caller's rate (IETF draft); absent where there is no limit.",
);

const RATE_LIMIT_POLICY: Field = text(
    "RateLimit-Policy",
    "What the caller may do (IETF draft); absent where there is no limit.",
);

/// What the answers have that count against a rate.
pub(super) const RATE: [Field; 2] = [RATE_LIMIT, RATE_LIMIT_POLICY];

/// Where it is.
pub(crate) const LOCATION: Field = Field {
    name: "Location",
    says: "The URL of what was made or is to be followed.",
    schema: || json!({"type": "string", "format": "uri-reference"}),
};

/// Where to follow it.
pub(crate) const OPERATION_LOCATION: Field = Field {
    name: "Operation-Location",
    says: "The URL of the job, for clients that know long-running operations.",
    schema: || json!({"type": "string", "format": "uri-reference"}),
};

/// Of what the body is a representation.
pub(crate) const CONTENT_LOCATION: Field = Field {
    name: "Content-Location",
    says: "The URL of the job that the body shows.",
    schema: || json!({"type": "string", "format": "uri-reference"}),
};

/// What lies around it.
pub(crate) const LINK: Field = text(
    "Link",
    "Of a job `rel=\"monitor\"`, of a page `first`, `next` and `prev`.",
);

/// When to come back.
pub(crate) const RETRY_AFTER: Field = Field {
    name: "Retry-After",
    says: "After how many seconds to come back.",
    schema: || json!({"type": "integer", "minimum": 1}),
};

/// Which version it is.
pub(crate) const ETAG: Field = Field {
    name: "ETag",
    says: "A strong validator of the representation.",
    schema: || json!({"type": "string", "pattern": "^\"[^\"]+\"$"}),
};

/// What it depends on.
pub(crate) const VARY: Field = text("Vary", "The fields of the request that it depends on.");

/// What was done of what the caller would like.
pub(crate) const PREFERENCE_APPLIED: Field = text(
    "Preference-Applied",
    "The preferences that were honoured (RFC 7240).",
);

/// That it came before.
pub(crate) const IDEMPOTENT_REPLAYED: Field = Field {
    name: "Idempotent-Replayed",
    says: "The request came before under the same `Idempotency-Key`.",
    schema: || json!({"const": "true"}),
};

/// In what it can be asked for in part.
pub(crate) const ACCEPT_RANGES: Field = Field {
    name: "Accept-Ranges",
    says: "The unit in which a `Range` may be asked for.",
    schema: || json!({"enum": ["bytes", "items"]}),
};

/// Which part it is.
pub(crate) const CONTENT_RANGE: Field = Field {
    name: "Content-Range",
    says: "Which part it is, or in a 416 how much there is.",
    schema: || json!({"type": "string", "pattern": "^(bytes|items) "}),
};

/// What the target of an `http` job answered.
pub(crate) const COATCHECK_RESULT_STATUS: Field = Field {
    name: "Coatcheck-Result-Status",
    says: "The status that the target of an `http` job answered with.",
    schema: || json!({"type": "integer", "minimum": 100, "maximum": 999}),
};

/// How the bytes may be used.
pub(crate) const CONTENT_SECURITY_POLICY: Field = text(
    "Content-Security-Policy",
    "What a browser that shows it may do.",
);

/// How the body is coded.
pub(crate) const CONTENT_ENCODING: Field = text("Content-Encoding", "How the body is coded.");

/// What a credential would have to be.
pub(super) const WWW_AUTHENTICATE: Field = text(
    "WWW-Authenticate",
    "Which credential is needed, and what was wrong with the one that came (RFC 6750).",
);

/// Which media types are taken.
pub(super) const ACCEPT: Field = text("Accept", "The media types that are taken.");

/// Which codings are taken.
pub(super) const ACCEPT_ENCODING: Field = text("Accept-Encoding", "The codings that are taken.");

/// Which methods there are.
pub(super) const ALLOW: Field = text("Allow", "The methods that the resource has.");

impl Field {
    /// As the document has it.
    pub(super) fn describe(self, always: bool) -> Header {
        // The model does not know that a field may be required.
        let required: Extensions = [("required", always)].into_iter().collect();
        HeaderBuilder::new()
            .description(Some(self.says))
            .schema(Some(raw((self.schema)())))
            .extensions(always.then_some(required))
            .build()
    }
}
