//! Schemas: derived from the very types that are written and, where a body is read field by
//! field, from a type beside the reader. OpenAPI 3.1 takes JSON Schema 2020-12 as it is.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};
use utoipa::openapi::{
    RefOr, Schema,
    extensions::Extensions,
    schema::{ObjectBuilder, SchemaType},
};

/// The schemas of a document under construction.
pub(super) struct Schemas {
    /// Of what is taken.
    pub(super) taken: SchemaGenerator,
    /// Of what is given.
    pub(super) given: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        Self {
            taken: settings().for_deserialize().into_generator(),
            given: settings().for_serialize().into_generator(),
        }
    }

    /// All that others refer to, by name.
    pub(super) fn into_components(mut self) -> BTreeMap<String, RefOr<Schema>> {
        let mut all: Map<String, Value> = self.taken.take_definitions(true);
        all.extend(self.given.take_definitions(true));
        all.into_iter()
            .map(|(name, schema)| (name, raw(schema)))
            .collect()
    }
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

/// The schema of a type without references, for a parameter.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let mut generator = settings()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator();
    generator.subschema_for::<T>().to_value()
}

/// A schema as it stands: the model's own type does not know every keyword.
pub(super) fn raw(schema: Value) -> RefOr<Schema> {
    let keywords: Extensions = match schema {
        Value::Object(keywords) => keywords.into_iter().collect(),
        // `true`: anything fits, as no keyword at all says too.
        _ => Extensions::default(),
    };
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .extensions(Some(keywords))
        .into()
}
