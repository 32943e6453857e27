//! The document in which the product describes itself, and answers held against it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::{Draft, Registry, Validator};
use serde_json::{Value, json};

use crate::Result;

/// Under which name the document is referred to.
const URI: &str = "urn:document";

/// What is answered to what is no operation: nothing was understood, there is no such path, the
/// path has no such method, no path has it, the version is another's.
const ELSEWHERE: [u16; 8] = [400, 404, 405, 408, 414, 431, 501, 505];

/// A document, its schemas compiled as they are needed.
pub struct Document {
    root: &'static Value,
    registry: Registry<'static>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// A request and what came back.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method and target; none where it could not be read.
    pub request: Option<(&'a str, &'a str)>,
    /// The status of the answer.
    pub status: u16,
    /// Its header fields, with their names in lower case.
    pub headers: &'a [(String, String)],
    /// Its body; none where it was not read.
    pub body: Option<&'a [u8]>,
}

impl Exchange<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn media_type(&self) -> &str {
        let field = self.header("content-type").unwrap_or_default();
        field.split(';').next().unwrap_or_default().trim()
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Document").finish_non_exhaustive()
    }
}

impl Document {
    /// A document, which is kept as long as the process lives.
    ///
    /// # Errors
    /// Where something in it cannot be referred to.
    pub fn new(document: Value) -> Result<Self> {
        let root: &'static Value = Box::leak(Box::new(document));
        Ok(Self {
            root,
            registry: Registry::new().add(URI, root)?.prepare()?,
            validators: Mutex::default(),
        })
    }

    /// Holds an exchange against the document.
    ///
    /// # Errors
    /// Where the answer is not as it is documented; with what is wrong.
    pub fn check(&self, exchange: &Exchange<'_>) -> Result<()> {
        self.checked(exchange).map_err(|fault| {
            let (method, target) = exchange.request.unwrap_or(("an unreadable request", ""));
            let (status, body) = (exchange.status, exchange.body.unwrap_or_default());
            let body = String::from_utf8_lossy(&body[..body.len().min(2_000)]);
            format!("undocumented: {fault}, {status} to {method} {target}: {body}").into()
        })
    }

    fn checked(&self, exchange: &Exchange<'_>) -> Result<()> {
        let Some((method, target)) = exchange.request else {
            return self.check_elsewhere(exchange);
        };
        let path = path_of(target);
        let Some(template) = self.template_of(path) else {
            return self.check_elsewhere(exchange);
        };
        let is_head = method == "HEAD";
        let name = if is_head { "GET" } else { method };
        let operation = ["paths", template, &name.to_lowercase()];
        if method == "OPTIONS" && exchange.status == 204 {
            return require_field(exchange, "Allow");
        }
        if self.find(&operation).is_none() {
            return self.check_elsewhere(exchange);
        }
        let status = exchange.status.to_string();
        let place = [&operation[..], &["responses", &status]].concat();
        let pointer = pointer_to(&place);
        let response = self.root.pointer(&pointer).ok_or("no such status")?;
        let pointer = match response["$ref"].as_str() {
            Some(reference) => reference.trim_start_matches('#').to_owned(),
            None => pointer,
        };
        let body = exchange.body.filter(|_| !is_head);
        self.check_response(&pointer, &Exchange { body, ..*exchange })
    }

    /// The path of the document that a request's path is one of; one without parameters first.
    fn template_of(&self, path: &str) -> Option<&'static str> {
        let paths = self.root["paths"].as_object()?;
        let fits = |template: &str| {
            let mut asked = path.split('/');
            let fits = template.split('/').all(|segment| {
                asked.next().is_some_and(|asked| {
                    asked == segment || (segment.starts_with('{') && !asked.is_empty())
                })
            });
            fits && asked.next().is_none()
        };
        paths
            .keys()
            .filter(|template| fits(template))
            .min_by_key(|template| template.matches('{').count())
            .map(String::as_str)
    }

    fn check_elsewhere(&self, exchange: &Exchange<'_>) -> Result<()> {
        if !ELSEWHERE.contains(&exchange.status) {
            return Err("no such operation".into());
        }
        if exchange.status == 405 {
            require_field(exchange, "Allow")?;
        }
        match exchange.body {
            Some(body) if !body.is_empty() => {
                self.check_body("/components/schemas/Problem", exchange, body)
            }
            _ => Ok(()),
        }
    }

    fn check_response(&self, pointer: &str, exchange: &Exchange<'_>) -> Result<()> {
        let response = self.root.pointer(pointer).ok_or("no such response")?;
        for (name, field) in response["headers"].as_object().into_iter().flatten() {
            match exchange.header(name) {
                Some(value) => self.check_field(&format!("{pointer}/headers/{name}"), value)?,
                None if field["required"] == true => require_field(exchange, name)?,
                None => {}
            }
        }
        let Some(contents) = response["content"].as_object() else {
            return match exchange.body {
                Some(body) if !body.is_empty() => Err("a body".into()),
                _ => Ok(()),
            };
        };
        let media_type = exchange.media_type();
        let documented = [media_type, "*/*"]
            .into_iter()
            .find(|documented| contents.contains_key(*documented))
            .ok_or_else(|| format!("the media type {media_type:?}"))?;
        let (Some(body), Some(_)) = (exchange.body, contents[documented].get("schema")) else {
            return Ok(());
        };
        let schema = format!(
            "{pointer}{}",
            pointer_to(&["content", documented, "schema"])
        );
        self.check_body(&schema, exchange, body)
    }

    fn check_body(&self, schema: &str, exchange: &Exchange<'_>, body: &[u8]) -> Result<()> {
        let media_type = exchange.media_type();
        if media_type == "text/event-stream" {
            let events = events_of(std::str::from_utf8(body)?);
            return events
                .iter()
                .try_for_each(|event| self.check_value(schema, event));
        }
        let value = if media_type.ends_with("json") && !media_type.ends_with("ndjson") {
            serde_json::from_slice(body)?
        } else {
            let text = std::str::from_utf8(body)?;
            if media_type.ends_with("ndjson") {
                let lines = text.lines().filter(|line| !line.is_empty());
                let lines: std::result::Result<Vec<Value>, _> =
                    lines.map(serde_json::from_str).collect();
                Value::Array(lines?)
            } else {
                text.into()
            }
        };
        self.check_value(schema, &value)
    }

    fn check_field(&self, pointer: &str, text: &str) -> Result<()> {
        let pointer = format!("{pointer}/schema");
        let schema = self.root.pointer(&pointer).unwrap_or(&Value::Null);
        if *schema == json!({"type": "string"}) {
            return Ok(());
        }
        let value = match text.parse::<u64>() {
            Ok(number) if schema["type"] == "integer" => number.into(),
            _ => Value::from(text),
        };
        self.check_value(&pointer, &value)
    }

    fn check_value(&self, schema: &str, value: &Value) -> Result<()> {
        let validator = self.validator(schema)?;
        match validator.iter_errors(value).next() {
            None => Ok(()),
            Some(error) => Err(format!("{error} at {:?}", error.instance_path().as_str()).into()),
        }
    }

    fn validator(&self, schema: &str) -> Result<Arc<Validator>> {
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = validators.get(schema) {
            return Ok(validator.clone());
        }
        // A reference from outside, so that those inside the document are its own.
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            .should_validate_formats(true)
            .build(&json!({"$ref": format!("{URI}#{}", in_url(schema))}))?;
        let validator = Arc::new(validator);
        validators.insert(schema.to_owned(), validator.clone());
        Ok(validator)
    }

    fn find(&self, place: &[&str]) -> Option<&'static Value> {
        self.root.pointer(&pointer_to(place))
    }
}

fn require_field(exchange: &Exchange<'_>, name: &str) -> Result<()> {
    match exchange.header(name) {
        Some(_) => Ok(()),
        None => Err(format!("the field {name} is missing").into()),
    }
}

/// The events of a whole stream, each as the object of its fields; what has no data is none.
fn events_of(stream: &str) -> Vec<Value> {
    stream
        .split("\n\n")
        .map(|event| {
            event
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect::<serde_json::Map<_, _>>()
        })
        .filter(|event| event.contains_key("data"))
        .map(Value::Object)
        .collect()
}

/// The path of a target, which may be a whole URL (RFC 9112 §3.2.2).
fn path_of(target: &str) -> &str {
    let target = target.split('?').next().unwrap_or_default();
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => target,
    }
}

/// A JSON pointer as the fragment of a URL, which has no braces.
fn in_url(pointer: &str) -> String {
    pointer.replace('{', "%7B").replace('}', "%7D")
}

/// A JSON pointer.
fn pointer_to(place: &[&str]) -> String {
    place
        .iter()
        .map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        Document::new(json!({
            "paths": {
                "/things/{id}": {"get": {"responses": {
                    "200": {
                        "headers": {
                            "ETag": {"required": true, "schema": {"type": "string"}},
                            "Retry-After": {"schema": {"type": "integer", "minimum": 1}},
                        },
                        "content": {"application/json": {"schema": {
                            "$ref": "#/components/schemas/Thing",
                        }}},
                    },
                    "204": {},
                }}},
                "/things/all": {"post": {"responses": {"204": {}}}},
            },
            "components": {"schemas": {
                "Thing": {"type": "object", "required": ["id"]},
                "Problem": {"type": "object", "required": ["type"]},
            }},
        }))
        .unwrap()
    }

    fn check(request: &str, status: u16, head: &[(&str, &str)], body: &str) -> Result<()> {
        let headers: Vec<(String, String)> = head
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        document().check(&Exchange {
            request: request.split_once(' '),
            status,
            headers: &headers,
            body: Some(body.as_bytes()),
        })
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
    const ETAG: (&str, &str) = ("etag", "\"1\"");

    #[test]
    fn what_is_as_documented_passes() {
        check("GET /things/1?x=y", 200, &[JSON, ETAG], "{\"id\":1}").unwrap();
        check("HEAD /things/1", 200, &[JSON, ETAG], "").unwrap();
        check("POST /things/all", 204, &[], "").unwrap();
        check("OPTIONS /things/1", 204, &[("allow", "GET")], "").unwrap();
        check("PUT /things/1", 405, &[("allow", "GET")], "").unwrap();
        check("GET /elsewhere", 404, &[JSON], "{\"type\":\"x\"}").unwrap();
    }

    #[test]
    fn everything_else_does_not() {
        for (request, status, head, body) in [
            ("GET /things/1", 200, &[JSON, ETAG][..], "{\"no\":1}"),
            ("GET /things/1", 200, &[JSON], "{\"id\":1}"),
            ("GET /things/1", 200, &[ETAG], "{\"id\":1}"),
            (
                "GET /things/1",
                200,
                &[JSON, ETAG, ("retry-after", "0")],
                "{\"id\":1}",
            ),
            (
                "GET /things/1",
                200,
                &[JSON, ETAG, ("retry-after", "soon")],
                "{\"id\":1}",
            ),
            ("GET /things/1", 201, &[JSON, ETAG], "{\"id\":1}"),
            ("GET /things/1", 204, &[], "a body"),
            ("GET /things/all", 200, &[JSON, ETAG], "{\"id\":1}"),
            ("PUT /things/1", 405, &[], ""),
            ("PUT /things/1", 200, &[], ""),
            ("GET /elsewhere", 200, &[JSON], "{}"),
            ("GET /elsewhere", 404, &[JSON], "{}"),
        ] {
            assert!(
                check(request, status, head, body).is_err(),
                "{request} {status} {head:?} {body}"
            );
        }
    }
}
