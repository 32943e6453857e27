//! A body in one media type: its schema and its examples.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use utoipa::openapi::{Content as Described, content::ContentBuilder, example::ExampleBuilder};

use super::schema::{Schemas, raw};

/// A body in one media type.
pub(crate) struct Content {
    pub(super) media_type: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    /// Whether it is read by the server rather than written.
    taken: bool,
    examples: Vec<(&'static str, Value)>,
}

impl Content {
    /// What a client sends.
    pub(crate) fn taken<T: JsonSchema>(
        media_type: &'static str,
        examples: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        Self {
            media_type,
            schema: SchemaGenerator::subschema_for::<T>,
            taken: true,
            examples: examples.into_iter().collect(),
        }
    }

    /// What the server sends.
    pub(super) fn given<T: JsonSchema>(media_type: &'static str, example: Value) -> Self {
        Self {
            media_type,
            schema: SchemaGenerator::subschema_for::<T>,
            taken: false,
            examples: vec![("example", example)],
        }
    }

    /// Bytes of which nothing is known.
    pub(super) fn bytes(media_type: &'static str) -> Self {
        Self {
            media_type,
            schema: |_| Schema::default(),
            taken: false,
            examples: Vec::new(),
        }
    }

    /// As the document has it.
    pub(super) fn describe(&self, schemas: &mut Schemas) -> Described {
        let generator = if self.taken {
            &mut schemas.taken
        } else {
            &mut schemas.given
        };
        let schema = (self.schema)(generator).to_value();
        let examples = self.examples.iter().map(|(name, value)| {
            let example = ExampleBuilder::new().value(Some(value.clone()));
            (*name, example.build())
        });
        ContentBuilder::new()
            // None where anything fits: these may be bytes of any kind.
            .schema((schema != json!({})).then(|| raw(schema)))
            .examples_from_iter(examples)
            .build()
    }
}
