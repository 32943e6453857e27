//! JSON as this API takes it: one object in UTF-8, of bounded depth, no member twice.
//!
//! The outermost object is taken apart into its members' own bytes, so that a payload reaches the
//! store as it came; each member is then read once, in the pass that also makes the value that
//! the checks look at.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};

use crate::problem::FieldError;

/// How deep a body may be nested, the outermost object being the first level.
pub(crate) const DEEPEST: usize = 64;

/// A member of the outermost object.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    /// Its name.
    pub(crate) name: String,
    /// Its value, understood.
    pub(crate) value: Value,
    /// Its value, byte for byte.
    pub(crate) raw: &'a str,
}

/// Takes a body apart.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub(crate) fn members(body: &[u8]) -> Result<Vec<Member<'_>>, FieldError> {
    let raw = raw_members(body)?;
    let mut members: Vec<Member<'_>> = Vec::with_capacity(raw.len());
    for (name, raw) in raw {
        let value = value(raw.get(), 1).map_err(|error| error.below(&name))?;
        members.push(Member {
            name,
            value,
            raw: raw.get(),
        });
    }
    Ok(members)
}

/// Takes a body apart and looks into none of its members.
///
/// # Errors
/// The first thing that is wrong with the outermost object.
pub(crate) fn raw_members(body: &[u8]) -> Result<Vec<(String, &RawValue)>, FieldError> {
    let text = std::str::from_utf8(body).map_err(|error| FieldError {
        pointer: String::new(),
        detail: format!("no UTF-8 after byte {}", error.valid_up_to()),
    })?;
    let members = outermost(text)?;
    refuse_twice(&members)?;
    Ok(members)
}

fn refuse_twice(members: &[(String, &RawValue)]) -> Result<(), FieldError> {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::new(TWICE).below(pair[0])),
        None => Ok(()),
    }
}

const TWICE: &str = "the object has this member twice";

fn outermost(text: &str) -> Result<Vec<(String, &RawValue)>, FieldError> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(Members)
        .and_then(|members| deserializer.end().map(|()| members))
        .map_err(|error| FieldError {
            pointer: String::new(),
            detail: error.to_string(),
        })
}

/// What is wrong inside a value, and the way to it from the inside out.
#[derive(Debug, Default)]
struct Fault {
    detail: String,
    way: Vec<String>,
}

impl Fault {
    fn new(detail: impl Into<String>) -> Self {
        Self {
            detail: detail.into(),
            way: Vec::new(),
        }
    }

    fn below(self, name: &str) -> FieldError {
        self.at(Some(name))
    }

    fn at(self, member: Option<&str>) -> FieldError {
        let mut pointer = String::new();
        let way = self.way.iter().rev().map(String::as_str);
        for segment in member.into_iter().chain(way) {
            push_segment(&mut pointer, segment);
        }
        FieldError {
            pointer,
            detail: self.detail,
        }
    }
}

/// Appends a segment to a JSON pointer.
pub(crate) fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
}

/// Reads a body that is one value, as strictly as if it were a member of a submission.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub(crate) fn payload(body: &[u8]) -> Result<Value, FieldError> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| FieldError {
        pointer: String::new(),
        detail: error.to_string(),
    })?;
    value(raw.get(), 1).map_err(|fault| fault.at(None))
}

/// Reads a value that lies `depth` levels deep.
fn value(text: &str, depth: usize) -> Result<Value, Fault> {
    let fault = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        depth,
        fault: &fault,
    };
    seed.deserialize(&mut deserializer).map_err(|error| {
        fault
            .take()
            .unwrap_or_else(|| Fault::new(error.to_string()))
    })
}

/// Reads one value, refusing what serde_json alone lets pass.
#[derive(Clone, Copy)]
struct Strict<'a> {
    /// How many objects and arrays are around it.
    depth: usize,
    /// Where the innermost refusal is kept while the error travels outwards.
    fault: &'a RefCell<Option<Fault>>,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            let detail = format!("nested more than {DEEPEST} deep");
            return Err(self.refuse(&detail));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }

    fn refuse<E: de::Error>(self, detail: &str) -> E {
        self.fault.replace(Some(Fault::new(detail)));
        E::custom(detail)
    }

    /// Notes on the way out through which member or item an error has come.
    fn through<E: de::Error>(self, segment: impl FnOnce() -> String, error: E) -> E {
        self.fault
            .borrow_mut()
            .get_or_insert_with(|| Fault::new(error.to_string()))
            .way
            .push(segment());
        error
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        loop {
            match sequence.next_element_seed(inner) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Value::Array(items)),
                Err(error) => return Err(self.through(|| items.len().to_string(), error)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                let error = self.refuse(TWICE);
                return Err(self.through(|| name, error));
            }
            match map.next_value_seed(inner) {
                Ok(value) => members.insert(name, value),
                Err(error) => return Err(self.through(|| name, error)),
            };
        }
        Ok(Value::Object(members))
    }
}
