//! Kinds of work, as far as whoever submits must know them: their names and the shape of their
//! payloads. What runs them is the worker's alone.

pub mod command;
pub mod http;
pub mod sleep;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

use crate::job::KindName;

/// The payload of a kind: what a submission must carry.
pub trait KindPayload: JsonSchema {
    /// The kind's name.
    const KIND: &'static str;
    /// What the kind does, in a sentence for its users.
    const DESCRIPTION: &'static str;
}

/// A kind as it is announced to every process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindDefinition {
    /// Its name.
    pub name: KindName,
    /// What it does.
    pub description: String,
    /// The JSON Schema (2020-12) of its payload.
    pub payload_schema: serde_json::Value,
}

impl KindDefinition {
    /// The definition of a kind with a typed payload.
    ///
    /// # Errors
    /// Where the name that the type gives is no name of a kind.
    pub fn of<P: KindPayload>() -> Result<Self, crate::job::InvalidName> {
        Ok(Self {
            name: P::KIND.parse()?,
            description: P::DESCRIPTION.to_owned(),
            payload_schema: payload_schema::<P>(),
        })
    }
}

/// The JSON Schema of a payload type, as one document without references to others.
pub fn payload_schema<P: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<P>()
        .to_value()
}
