//! A parameter of a request: in its path, its query or its head.

use serde_json::{Value, json};
use utoipa::openapi::{
    Required,
    path::{Parameter as Described, ParameterBuilder, ParameterIn, ParameterStyle},
};

use super::schema::raw;

/// A parameter of a request.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    says: &'static str,
    schema: fn() -> Value,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Head,
}

impl Parameter {
    /// A segment of the path.
    pub(crate) const fn path(
        name: &'static str,
        says: &'static str,
        schema: fn() -> Value,
    ) -> Self {
        Self::new(Place::Path, name, says, schema)
    }

    /// A parameter of the query. A list of values stands between commas; the members of an object
    /// are parameters of their own.
    pub(crate) const fn query(
        name: &'static str,
        says: &'static str,
        schema: fn() -> Value,
    ) -> Self {
        Self::new(Place::Query, name, says, schema)
    }

    /// A header field.
    pub(crate) const fn head(
        name: &'static str,
        says: &'static str,
        schema: fn() -> Value,
    ) -> Self {
        Self::new(Place::Head, name, says, schema)
    }

    const fn new(
        place: Place,
        name: &'static str,
        says: &'static str,
        schema: fn() -> Value,
    ) -> Self {
        Self {
            name,
            place,
            says,
            schema,
        }
    }

    /// As the document has it.
    pub(super) fn describe(&self) -> Described {
        let schema = (self.schema)();
        let style = (self.place == Place::Query).then_some(ParameterStyle::Form);
        let explode = (schema["type"] == "array").then_some(false);
        let (place, required) = match self.place {
            Place::Path => (ParameterIn::Path, Required::True),
            Place::Query => (ParameterIn::Query, Required::False),
            Place::Head => (ParameterIn::Header, Required::False),
        };
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(place)
            .required(required)
            .description(Some(self.says))
            .style(style)
            .explode(explode)
            .schema(Some(raw(schema)))
            .build()
    }
}

/// The id of a job.
pub(crate) const JOB_ID: Parameter = Parameter::path("id", "The job's id.", || {
    json!({
        "type": "string",
        "format": "uuid",
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "examples": ["01a207ea-1005-727f-9ea3-03ceb4637141"],
    })
});

/// What the caller would like.
pub(crate) const PREFER: Parameter = Parameter::head(
    "Prefer",
    "`wait=N`: answer when the job is finished, or after N seconds (RFC 7240). \
     `respond-async`: answer 202 rather than wait for the work. What is not known is ignored.",
    || json!({"type": "string", "examples": ["wait=5"]}),
);

/// The version that the caller has.
pub(super) const IF_NONE_MATCH: Parameter = Parameter::head(
    "If-None-Match",
    "The `ETag` that the caller has: 304 where nothing is new.",
    || json!({"type": "string", "examples": ["\"3764d8bcec2f99234a522112871caf67\""]}),
);

/// The version that the caller means.
pub(crate) const IF_MATCH: Parameter = Parameter::head(
    "If-Match",
    "The `ETag` of what the caller means: 412 where it is another by now.",
    || json!({"type": "string", "examples": ["\"3764d8bcec2f99234a522112871caf67\""]}),
);

/// The id that the caller gives to a request.
pub(super) const X_REQUEST_ID: Parameter = Parameter::head(
    "X-Request-Id",
    "The id under which the request is answered and logged; one that is not of 1 to 128 letters, \
     digits, `.`, `_`, `-` is replaced.",
    || json!({"type": "string", "examples": ["order-4711"]}),
);
