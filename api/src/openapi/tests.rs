use std::collections::BTreeSet;

use jsonschema::{Draft, Registry};
use serde_json::Value;

use super::*;

/// Under which name the document is referred to.
const DOCUMENT_URI: &str = "urn:document";

/// Every operation: its path, its method, what is said of it.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| (&**path, &**method, operation))
        })
}

/// Calls `visit` with every value of a document and the JSON pointer to it.
fn walk(value: &Value, pointer: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(pointer, value);
    let mut go = |segment: &str, child: &Value| {
        let segment = segment.replace('~', "~0").replace('/', "~1");
        walk(child, &format!("{pointer}/{segment}"), visit);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, child)| go(name, child)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(place, child)| go(&place.to_string(), child)),
        _ => {}
    }
}

#[test]
fn every_route_is_an_operation_and_every_operation_a_route() {
    let document = document();
    let documented: BTreeSet<(String, String)> = operations(&document)
        .map(|(path, method, _)| (path.to_owned(), method.to_uppercase()))
        .collect();
    let routed: BTreeSet<(String, String)> = routes::endpoints()
        .iter()
        .map(|endpoint| (endpoint.path.to_owned(), endpoint.method.to_owned()))
        .collect();
    assert_eq!(documented, routed);
}

/// A page that shows the document fills its form with what an object has for an example, or makes
/// something up: sent with a body of JSON it would be refused.
#[test]
fn a_form_sends_no_query_that_nobody_has_asked_for() {
    let document = document();
    let mut objects = 0;
    for (path, method, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().unwrap().iter();
        for parameter in parameters.filter(|parameter| parameter["schema"]["type"] == "object") {
            objects += 1;
            let examples = &parameter["schema"]["examples"];
            assert_eq!(examples, &serde_json::json!([{}]), "{method} {path}");
        }
    }
    assert!(objects > 0);
}

#[test]
fn every_operation_is_whole() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        let parameters = operation["parameters"].as_array().unwrap();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let expected: BTreeSet<&str> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(in_path, expected, "{path}");
        let endpoints = routes::endpoints();
        let endpoint = endpoints
            .iter()
            .find(|each| each.path == path && each.method == method.to_uppercase())
            .unwrap();
        let is_open = operation["security"].as_array().unwrap().is_empty();
        assert_eq!(is_open, endpoint.scope.is_none(), "{path}");
        let responses = operation["responses"].as_object().unwrap();
        let is_success = |status: &String| status.starts_with('2');
        assert!(responses.keys().any(is_success), "{method} {path}");
        assert!(responses.contains_key("500"), "{method} {path}");
    }
}

#[test]
fn every_type_of_problem_is_documented() {
    let text = document()["components"]["responses"].to_string();
    for each in ProblemType::ALL {
        assert!(text.contains(&each.path()), "{} is nowhere", each.path());
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_one() {
    let document = document();
    walk(&document, "", &mut |pointer, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(target).is_some(), "{pointer}: {reference}");
        }
        if pointer.ends_with("/schema")
            || pointer.rsplit_once('/').map(|it| it.0) == Some("/components/schemas")
        {
            assert!(jsonschema::draft202012::meta::is_valid(value), "{pointer}");
        }
    });
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let registry = Registry::new().add(DOCUMENT_URI, &document).unwrap();
    let registry = registry.prepare().unwrap();
    let mut count = 0;
    let mut check = |schema: &str, example: &Value| {
        // No URL has braces.
        let schema = schema.replace('{', "%7B").replace('}', "%7D");
        let schema = serde_json::json!({"$ref": format!("{DOCUMENT_URI}#{schema}")});
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&registry)
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        if let Some(error) = validator.iter_errors(example).next() {
            panic!("{error} at {}: {schema}, {example}", error.instance_path());
        }
        count += 1;
    };
    walk(&document, "", &mut |pointer, value| {
        // Of a body …
        if value.get("schema").is_some() {
            for example in value["examples"].as_object().into_iter().flatten() {
                check(&format!("{pointer}/schema"), &example.1["value"]);
            }
        }
        // … and of a schema.
        if pointer.ends_with("/schema") {
            for example in value["examples"].as_array().into_iter().flatten() {
                check(pointer, example);
            }
        }
    });
    assert!(count > 100, "only {count} examples were found");
}
