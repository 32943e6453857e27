//! An answer that is no problem: its status, its header fields, its body.

use schemars::JsonSchema;
use serde_json::Value;
use utoipa::openapi::{Response, ResponseBuilder};

use super::{
    content::Content,
    field::{self, Field},
    schema::Schemas,
};

/// An answer with one status.
pub(crate) struct Reply {
    pub(super) status: u16,
    says: &'static str,
    /// The header fields, and whether each is always there.
    fields: Vec<(Field, bool)>,
    contents: Vec<Content>,
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn empty(status: u16, says: &'static str) -> Self {
        Self {
            status,
            says,
            fields: Vec::new(),
            contents: Vec::new(),
        }
    }

    /// That the caller has it already.
    pub(crate) fn not_modified() -> Self {
        Self::empty(304, "The caller has this version already.").always([field::ETAG, field::VARY])
    }

    /// An answer with a JSON body.
    pub(crate) fn json<T: JsonSchema>(status: u16, says: &'static str, example: Value) -> Self {
        Self::empty(status, says).or_as::<T>("application/json", example)
    }

    /// An answer of any bytes.
    pub(crate) fn bytes(status: u16, says: &'static str, media_type: &'static str) -> Self {
        Self::empty(status, says).or_bytes(media_type)
    }

    /// Also any bytes of another media type.
    #[must_use]
    pub(crate) fn or_bytes(mut self, media_type: &'static str) -> Self {
        self.contents.push(Content::bytes(media_type));
        self
    }

    /// Also in another media type.
    #[must_use]
    pub(crate) fn or_as<T: JsonSchema>(mut self, media_type: &'static str, example: Value) -> Self {
        self.contents.push(Content::given::<T>(media_type, example));
        self
    }

    /// With header fields that are always there.
    #[must_use]
    pub(crate) fn always(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields
            .extend(fields.into_iter().map(|field| (field, true)));
        self
    }

    /// With header fields that may be there.
    #[must_use]
    pub(crate) fn sometimes(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields
            .extend(fields.into_iter().map(|field| (field, false)));
        self
    }

    /// As the document has it; `limited` where callers have a rate.
    pub(super) fn describe(&self, schemas: &mut Schemas, limited: bool) -> Response {
        let mut response = ResponseBuilder::new().description(self.says);
        let rate = limited.then_some(field::RATE).into_iter().flatten();
        let fields = self.fields.iter().copied();
        for (field, always) in fields
            .chain(field::EVERYWHERE.map(|field| (field, true)))
            .chain(rate.map(|field| (field, false)))
        {
            response = response.header(field.name, field.describe(always));
        }
        for content in &self.contents {
            response = response.content(content.media_type, content.describe(schemas));
        }
        response.build()
    }
}
